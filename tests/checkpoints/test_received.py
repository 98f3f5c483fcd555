"""A run that somebody else made: what its files claim is checked before it is believed or allocated."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from translator.checkpoints import (
    Checkpoint,
    average_checkpoints,
    load_bundle,
    read_checkpoint,
    write_checkpoint,
)
from translator.checkpoints.checkpoint import STATE, WEIGHTS, _checksum, _checksum_of_state
from translator.config import ModelSettings
from translator.errors import CheckpointError, DamagedCheckpointError, DeviceError, TranslatorError
from translator.model import build_model, parameter_shapes
from translator.runtime import host_memory

Program = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_run, tmp_path / "received")
    return tmp_path / "received"


def reseal(directory: Path, **state: Any) -> None:
    """Make the checksums those of the files as they are, as somebody who changes a run on purpose would."""
    found = json.loads((directory / STATE).read_text())
    del found["sha256"]
    found |= state
    checksums = {WEIGHTS: _checksum(directory / WEIGHTS)}
    checksums[STATE] = _checksum_of_state(found, checksums)
    (directory / STATE).write_text(json.dumps({**found, "sha256": checksums}))


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.int64, torch.float64, torch.bfloat16, torch.uint8])
def test_weights_of_another_type_are_refused_by_name(run: Path, dtype: torch.dtype) -> None:
    file = run / "models" / "final" / WEIGHTS
    tensors = load_file(file)
    name = sorted(tensors)[3]
    tensors[name] = tensors[name].to(dtype)
    save_file(tensors, file)
    reseal(file.parent)
    for read in (lambda: load_bundle(run), lambda: average_checkpoints([file.parent])):
        with pytest.raises(CheckpointError, match=f"{name} holds numbers of type .*, expected F32"):
            read()


@pytest.mark.parametrize(
    ("name", "value"), [("encoder_layers", 30), ("d_model", 65536), ("max_positions", 100_000), ("d_ff", 2**18)]
)
def test_settings_that_the_weights_do_not_have_are_refused_before_anything_is_allocated(
    run: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    text = (run / "config.yaml").read_text()
    settings = {"d_model": "d_model: 16", "encoder_layers": "encoder_layers: 1", "d_ff": "d_ff: 32"}
    settings["max_positions"] = "positions: sinusoidal\n  max_positions: 64"
    assert settings[name] in text
    wanted = f"positions: learned\n  max_positions: {value}" if name == "max_positions" else f"{name}: {value}"
    (run / "config.yaml").write_text(text.replace(settings[name], wanted))

    def refuse(*_: object) -> None:
        raise AssertionError("allocated")

    monkeypatch.setattr("translator.checkpoints.bundle.build_model", refuse)
    with pytest.raises(CheckpointError, match="does not fit the settings of its run"):
        load_bundle(run)


def test_sizes_out_of_all_bounds_are_refused(run: Path) -> None:
    text = (run / "config.yaml").read_text()
    for old, new in (("encoder_layers: 1", "encoder_layers: 100000"), ("d_model: 16", "d_model: 1000000000")):
        (run / "config.yaml").write_text(text.replace(old, new))
        with pytest.raises(TranslatorError, match="input should be less than or equal to"):
            load_bundle(run)


def test_what_does_not_fit_into_memory_is_said_before_it_is_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    huge = ModelSettings(encoder_layers=20, decoder_layers=20, d_model=65536, d_ff=2**18, num_heads=64)
    with pytest.raises(DeviceError, match="the weights of the model would take .* GiB, and .* are free"):
        build_model(huge, 10**6, 10**6, seed=1)
    small = ModelSettings(encoder_layers=1, decoder_layers=1, d_model=16, d_ff=16, num_heads=2)
    needed = sum(parameter.nbytes for parameter in build_model(small, 30, 30, 1).parameters())
    monkeypatch.setattr(host_memory, "free_host_bytes", lambda: needed)
    build_model(small, 30, 30, 1)
    monkeypatch.setattr(host_memory, "free_host_bytes", lambda: needed - 1)
    with pytest.raises(DeviceError):
        build_model(small, 30, 30, 1)


def test_shapes_are_known_without_a_model() -> None:
    for ties in ("all", "decoder", "none"):
        settings = ModelSettings(encoder_layers=2, decoder_layers=1, d_model=16, d_ff=16, num_heads=2)
        settings = settings.model_copy(update={"tie_embeddings": ties, "positions": "learned"})
        model = build_model(settings, 30, 30, 1)
        assert parameter_shapes(settings, 30, 30) == {name: tuple(p.shape) for name, p in model.named_parameters()}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"step": "12"}, "`step`: found text, expected a whole number"),
        ({"step": 10**30}, "`step`: found a whole number out of range"),
        ({"history": {"a": 1}}, "`history`: found an object, expected a list"),
        ({"history": [{"step": []}]}, r"`history\[0\].step`: found a list"),
        ({"average_of": [3]}, r"`average_of\[0\]`: found a whole number, expected text"),
        ({"scaler": 3}, "`scaler`: found a whole number"),
    ],
)
def test_a_state_of_another_shape_is_damage(run: Path, state: dict[str, Any], expected: str) -> None:
    reseal(run / "models" / "final", **state)
    with pytest.raises(DamagedCheckpointError, match=f"state.json is damaged .{expected}"):
        read_checkpoint(run / "models" / "final")


def test_checkpoints_of_other_shapes_are_not_averaged(tmp_path: Path) -> None:
    paths = [tmp_path / "checkpoints" / name for name in ("a", "b")]
    for path, size in zip(paths, (1, 3), strict=True):
        write_checkpoint(path, Checkpoint({"a": torch.ones(size)}, {}, {"step": 1}))
    with pytest.raises(CheckpointError, match="other weights"):
        average_checkpoints(paths)


@pytest.mark.parametrize(
    ("file", "content", "arguments", "expected"),
    [
        ("models/final/state.json", None, ["translate"], "state.json is missing or damaged (Is a directory)"),
        ("models/final/state.json", b'{"sha256": 3}', ["translate"], "`sha256`: found a whole number"),
        ("config.yaml", None, ["translate"], "is not a run directory: it has no config.yaml"),
        ("tokenizer.model", None, ["translate"], "cannot read the tokenizer"),
        ("scores.json", None, ["evaluate"], "scores.json cannot be read (Is a directory); it was left as it is"),
        ("scores.json", b'{"a": 1}', ["evaluate"], "scores.json is damaged (found an object, expected a list)"),
        ("scores.json", b"[3]", ["evaluate"], "scores.json is damaged (`[0]`: found a whole number"),
        ("metrics.jsonl", None, ["plot"], "has no metrics.jsonl"),
        ("metrics.jsonl", b'{"kind": [], "step": {}}\n', ["plot"], "line 1 is damaged and left out"),
        ("prepared/manifest.json", b'{"format": 1, "files": []}', ["data", "report"], "manifest.json is damaged"),
        ("prepared/manifest.json", None, ["data", "report"], "manifest.json cannot be read (Is a directory)"),
    ],
)
def test_files_of_another_kind_are_named(
    run: Path, tmp_path: Path, call_program: Program, file: str, content: bytes | None, arguments: list[str],
    expected: str,
) -> None:  # fmt: skip
    place = run / file
    place.unlink(missing_ok=True)
    if content is None:
        place.mkdir(parents=True)
    else:
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content)
    text = tmp_path / "text.txt"
    text.write_text("a dog\n")
    options = ["--source", text, "--reference", text] if arguments == ["evaluate"] else []
    code, _, errors = call_program(*arguments, run, *options, input=b"a dog\n")
    assert code == 1
    assert expected in errors
    assert "Traceback" not in errors and "this is a bug" not in errors


def test_a_damaged_alignment_is_named_and_learned_again(run: Path, call_program: Program) -> None:
    for content in ('{"layer": "1", "head": 1, "weights": "final", "step": 12}', "[]", '{"layer": 1}'):
        (run / "alignment.json").write_text(content)
        code, _, errors = call_program("translate", run, "--format", "jsonl", input=b"a dog runs\n")
        assert code == 0
        assert "warning: " in errors and "alignment.json is damaged (" in errors and "another head" in errors


def test_a_name_of_weights_may_be_anything(run: Path, call_program: Program) -> None:
    for name in ("²", "9" * 5000, "x" * 300, "\x1b[2J"):
        code, _, errors = call_program("translate", run, "--weights", name, input=b"a dog\n")
        assert code == 1 and errors.startswith("error: ") and "bug" not in errors


@pytest.mark.parametrize("name", ["scores.json", "models/final/model.safetensors", "prepared", "config.yaml"])
@pytest.mark.parametrize("is_link", [False, True])
def test_pipes_and_devices_are_not_opened(run: Path, call_program: Program, name: str, is_link: bool) -> None:
    path = run / name
    path.unlink(missing_ok=True)
    if is_link:
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(path)
    for command in ("translate", run), ("average", run), ("train", run / "config.yaml"):
        code, _, errors = call_program(*command)
        assert code == 1 and (name in errors or command[0] == "train"), errors
