"""`auto` takes CTranslate2 on the CPU whenever it can do what is asked, and says once why it cannot."""

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from translator.checkpoints import Bundle, load_bundle
from translator.config import DecodingSettings
from translator.errors import ConfigError, DeviceError
from translator.runtime.device import Machine
from translator.translation.engine_choice import EngineChoice

pytest.importorskip("ctranslate2", reason="ctranslate2 has no wheel for this platform")
from translator.interop.ctranslate2.engine import CTranslate2Engine

Program = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bundle(tiny_run: Path, tmp_path: Path) -> Bundle:
    """A run with a directory that may be written."""
    return dataclasses.replace(load_bundle(tiny_run, device="cpu"), directory=tmp_path)


def decoding(**settings: Any) -> DecodingSettings:
    return DecodingSettings.model_validate(settings)


def test_the_cpu_has_ctranslate2_for_all_that_it_can_do(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    choice = EngineChoice([bundle])
    rules = {"prefix": "a", "block_ngrams": 2, "min_length_extra": 1, "alignment": "1.1"}
    for settings in ({}, {"beam_size": 1}, rules):
        assert choice(decoding(**settings)).name == "ctranslate2"
    int8 = choice(decoding(quantize="int8"))
    assert int8.name == "ctranslate2"
    assert int8 is not choice(decoding())
    assert choice(decoding(beam_size=2)) is choice(decoding())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"search": "sampling"}, "search=sampling: its random numbers do not depend on the line alone"),
        ({"search": "mbr"}, "search=mbr: its random numbers"),
        ({"diverse_groups": 5}, "diverse_groups: it has no diverse beams"),
        ({"repetition_penalty": 0.5}, "repetition_penalty: its penalty is a factor, not a cost in nats"),
        ({"banned": ["dog"]}, "banned: it bans sequences of pieces, not text"),
        ({"required": ["dog"]}, "required: it requires nothing but a prefix"),
    ],
)
def test_what_it_cannot_do_is_native_and_said_once(
    bundle: Bundle, capsys: pytest.CaptureFixture[str], settings: dict[str, Any], reason: str
) -> None:
    choice = EngineChoice([bundle])
    assert [choice(decoding(**settings)).name for _ in range(2)] == ["native", "native"]
    said = capsys.readouterr().err
    assert said.startswith(f"engine: native instead of the faster CTranslate2 ({reason}")
    assert said.count("\n") == 1
    # Other calls are not affected.
    assert choice(decoding()).name == "ctranslate2"


def test_other_reasons_are_said_too(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert EngineChoice([bundle, bundle])(decoding()).name == "native"
    assert "it takes one run and no ensemble" in capsys.readouterr().err
    in_bf16 = dataclasses.replace(bundle, machine=Machine(torch.device("cpu"), "bf16"))
    assert EngineChoice([in_bf16])(decoding()).name == "native"
    assert "precision=bf16: on the CPU it computes in fp32 or int8" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    assert EngineChoice([bundle])(decoding()).name == "native"
    assert "the package ctranslate2 cannot be imported" in capsys.readouterr().err


def test_a_model_that_cannot_be_loaded_is_tried_once(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[Bundle] = []

    def fail(bundle: Bundle, **_: Any) -> None:
        tried.append(bundle)
        raise DeviceError("no such instructions")

    monkeypatch.setattr(CTranslate2Engine, "of", fail)
    choice = EngineChoice([bundle])
    assert [choice(decoding()).name for _ in range(3)] == ["native"] * 3
    assert len(tried) == 1
    assert capsys.readouterr().err == "engine: native instead of the faster CTranslate2 (no such instructions)\n"
    with pytest.raises(DeviceError, match="no such instructions"):
        EngineChoice([bundle], "ctranslate2")(decoding())


def test_an_engine_that_was_asked_for_is_taken_or_refused(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert EngineChoice([bundle], "native")(decoding()).name == "native"
    assert EngineChoice([bundle], "ctranslate2")(decoding()).name == "ctranslate2"
    assert capsys.readouterr().err == ""
    with pytest.raises(ConfigError, match="decoding.quantize: int8 .* the native engine was asked for; set it to none"):
        EngineChoice([bundle], "native")(decoding(quantize="int8"))
    with pytest.raises(ConfigError, match=r"decoding.quantize: int8 .* CTranslate2 cannot be used: search=sampling"):
        EngineChoice([bundle])(decoding(quantize="int8", search="sampling"))


@pytest.mark.skipif(sys.platform == "win32", reason="directories cannot be made read-only there")
def test_a_run_that_cannot_be_written_is_exported_elsewhere(
    bundle: Bundle, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    # A file in the way instead of missing permissions, which do not hold for root.
    (tmp_path / "exports").write_text("")
    assert EngineChoice([bundle])(decoding()).name == "ctranslate2"
    assert capsys.readouterr().err == (
        f"{tmp_path / 'exports'} cannot be written (File exists), so the model for CTranslate2 is not kept there\n"
    )


def test_records_name_the_engine(tiny_run: Path, tmp_path: Path, call_program: Program) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    source = tmp_path / "source"
    source.write_text("a dog runs\n\n")
    for settings, engine in (
        ([], "ctranslate2"),
        (["--set", "banned=[x]"], "native"),
        (["--engine", "native"], "native"),
    ):
        options = ["--set", "device=cpu", *settings]
        code, output, errors = call_program("translate", run, source, "--format", "jsonl", *options)
        assert (code, [json.loads(line)["engine"] for line in output.splitlines()]) == (0, [engine] * 2), errors
        assert errors.count("engine: native instead of") == (settings[:1] == ["--set"])
        assert call_program("evaluate", run, "--source", source, "--reference", source, *options)[0] == 0
        assert json.loads((run / "scores.json").read_text())[-1]["engine"] == engine
