"""Checkpoints: complete if they exist, named where they are damaged, averaged exactly."""

import errno
import hashlib
import json
from pathlib import Path

import pytest
import torch

from translator.checkpoints import (
    Checkpoint,
    RunDirectory,
    average_checkpoints,
    find_weights,
    load_bundle,
    load_weights,
    model_tensors,
    read_checkpoint,
    write_checkpoint,
)
from translator.checkpoints.checkpoint import OPTIMIZER, STATE, WEIGHTS
from translator.config import ModelSettings, complete_config, load_config, write_config
from translator.errors import CheckpointError, DamagedCheckpointError
from translator.model import build_model


def small(seed: int, width: int = 16) -> torch.nn.Module:
    settings = ModelSettings(encoder_layers=1, decoder_layers=1, d_model=width, d_ff=16, num_heads=2)
    return build_model(settings, 30, 30, seed)


def test_a_checkpoint_comes_back_bit_by_bit(tmp_path: Path) -> None:
    model = small(1)
    optimizer = {"weight/exp_avg": torch.randn(3, 4), "weight/step": torch.tensor(7.0)}
    write_checkpoint(tmp_path / "step", Checkpoint(model_tensors(model), optimizer, {"step": 7, "note": "ü"}))
    found = read_checkpoint(tmp_path / "step")
    other = small(2)
    load_weights(other, found.weights, "step")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(found.optimizer[name], optimizer[name]) for name in optimizer)
    assert found.state == {"step": 7, "note": "ü"}
    assert not read_checkpoint(tmp_path / "step", with_optimizer=False).optimizer
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in (tmp_path / "step").iterdir())


@pytest.mark.parametrize("name", [WEIGHTS, OPTIMIZER])
@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, damage: str) -> None:
    write_checkpoint(tmp_path / "c", Checkpoint(model_tensors(small(1)), {"w/m": torch.ones(5)}, {"step": 1}))
    file = tmp_path / "c" / name
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[-1] ^= 1
        file.write_bytes(content)
    elif damage == "truncate":
        file.write_bytes(content[: len(content) // 2])
    else:
        file.unlink()
    with pytest.raises(CheckpointError, match=name):
        read_checkpoint(tmp_path / "c")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"step": 1}'])
def test_a_damaged_state_is_named(tmp_path: Path, content: str) -> None:
    write_checkpoint(tmp_path / "c", Checkpoint(model_tensors(small(1)), {}, {"step": 1}))
    (tmp_path / "c" / STATE).write_text(content)
    with pytest.raises(CheckpointError, match=STATE):
        read_checkpoint(tmp_path / "c")


def test_no_flipped_bit_of_a_state_is_believed(tmp_path: Path) -> None:
    state = {"step": 1200, "history": [{"step": 600, "loss": 3.25, "bleu": 12.5}], "note": "ü"}
    write_checkpoint(tmp_path / "c", Checkpoint({"a": torch.ones(2)}, {"a/m": torch.ones(2)}, state))
    file = tmp_path / "c" / STATE
    content, refused = file.read_bytes(), 0
    for index in range(len(content)):
        file.write_bytes(content[:index] + bytes([content[index] ^ 1 << index % 8]) + content[index + 1 :])
        try:
            found = read_checkpoint(tmp_path / "c")
        except DamagedCheckpointError as error:
            assert str(file) in str(error)
            refused += 1
        else:
            # White space, which means nothing.
            assert found.state == state and found.optimizer
    assert refused > 0.8 * len(content)


def test_a_state_without_a_checksum_of_its_own_is_read(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c", Checkpoint({"a": torch.ones(2)}, {}, {"step": 1}))
    state = json.loads((tmp_path / "c" / STATE).read_text())
    del state["sha256"][STATE]
    (tmp_path / "c" / STATE).write_text(json.dumps(state))
    assert read_checkpoint(tmp_path / "c").state == {"step": 1}


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint(tmp_path / "c", Checkpoint({"a": torch.ones(2)}, {}, {"step": 1}))

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(hashlib, "file_digest", refuse)
    with pytest.raises(CheckpointError, match="cannot be read: Permission denied") as caught:
        read_checkpoint(tmp_path / "c")
    assert not isinstance(caught.value, DamagedCheckpointError)


def test_weights_of_another_shape_are_explained() -> None:
    with pytest.raises(CheckpointError, match=r"shape \(.*\), expected"):
        load_weights(small(1), model_tensors(small(1, width=32)), "elsewhere")
    weights = model_tensors(small(1))
    weights["extra"] = weights.pop("output_weight")
    with pytest.raises(CheckpointError, match="extra is unknown; output_weight is missing"):
        load_weights(small(1), weights, "elsewhere")


def test_the_average_is_the_mean(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    models = [small(seed) for seed in range(3)]
    for step, model in enumerate(models):
        write_checkpoint(run.checkpoint(step), Checkpoint(model_tensors(model), {}, {"step": step}))
    result = average_checkpoints([run.checkpoint(step) for step in run.steps()])
    for name, weight in result.weights.items():
        expected = torch.stack([model_tensors(model)[name] for model in models]).mean(0)
        torch.testing.assert_close(weight, expected)
    assert result.state == {"step": 2, "average_of": ["step-00000000", "step-00000001", "step-00000002"]}


def test_checkpoints_of_different_models_are_not_averaged(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    write_checkpoint(run.checkpoint(1), Checkpoint({"a": torch.ones(2)}, {}, {"step": 1}))
    write_checkpoint(run.checkpoint(2), Checkpoint({"b": torch.ones(2)}, {}, {"step": 2}))
    with pytest.raises(CheckpointError, match="other weights"):
        average_checkpoints([run.checkpoint(1), run.checkpoint(2)])
    with pytest.raises(CheckpointError, match="no checkpoints"):
        average_checkpoints([])


def test_weights_are_found_by_name(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    write_config(complete_config(load_config(overrides=[f"run={tmp_path}", "preset=tiny"])), run.config)
    with pytest.raises(CheckpointError, match="nothing yet; train it first"):
        find_weights(run)
    history: list[dict[str, float]] = []
    for step, bleu in ((5, 20.0), (10, 30.0), (15, 25.0)):
        history = [*history, {"step": step, "bleu": bleu, "chrf": 40.0, "loss": 2.0}]
        write_checkpoint(run.checkpoint(step), Checkpoint({"a": torch.ones(1)}, {}, {"step": step, "history": history}))
    assert find_weights(run, "last") == find_weights(run, "15") == run.checkpoint(15)
    assert find_weights(run) == find_weights(run, "best") == run.checkpoint(10)
    # What the newest checkpoint knew is lost with it; what the one before knew is not.
    (run.checkpoint(15) / STATE).write_text("{")
    assert find_weights(run) == run.checkpoint(10)
    write_checkpoint(run.models / "final", Checkpoint({"a": torch.ones(1)}, {}, {"step": 10}))
    assert find_weights(run) == find_weights(run, "final") == run.models / "final"
    assert find_weights(run, "best") == run.checkpoint(10)
    with pytest.raises(CheckpointError, match="called '7'; expected one of: final, 5, 10, 15"):
        find_weights(run, "7")
    run.remove_checkpoint(5)
    assert run.steps() == [10, 15]


def test_without_validations_the_newest_are_the_best(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    write_config(complete_config(load_config(overrides=[f"run={tmp_path}", "preset=tiny"])), run.config)
    for step in (5, 10):
        write_checkpoint(run.checkpoint(step), Checkpoint({"a": torch.ones(1)}, {}, {"step": step}))
    assert find_weights(run) == run.checkpoint(10)


def test_a_run_can_be_moved(tiny_run: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for file in tiny_run.rglob("*"):
        if file.is_file():
            target = moved / file.relative_to(tiny_run)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    here, there = load_bundle(tiny_run), load_bundle(moved)
    assert here.step == there.step == 12
    assert not there.model.training
    assert all(torch.equal(a, b) for a, b in zip(here.model.parameters(), there.model.parameters(), strict=True))
