"""The GPU script runs from end to end on the CPU in toy sizes, so that a lent GPU is not spent on its mistakes."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from translator.checkpoints import load_bundle
from translator.config import ModelSettings
from translator.model import build_model

QUICK = ["--device", "cpu", "--precision", "fp32", "--quick"]


def load_script(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_all_parts_but_the_long_ones_run_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = load_script("gpu_check")
    figures = tmp_path / "figures.json"
    arguments = [*QUICK, "--parts", "ceilings,kernels,steps,training"]
    assert script.main([*arguments, "--json", str(figures)]) == 0
    printed = capsys.readouterr().out
    assert "FAILS" not in printed
    assert printed.count("agrees") == 2 * (6 + 2)  # as they are found, and in the table
    found = json.loads(figures.read_text())
    assert found["copy_gb_per_second"] > 0 and found["matmul_tflops"] > 0
    assert found["training_base"]["tokens_per_second"] > 0 and found["training_big"]["tokens_per_second"] > 0
    assert found["step_replayed_128x5"]["microseconds"] > 0 and found["step_plain_1x1"]["share_of_ceiling"] > 0
    with pytest.raises(SystemExit):
        script.main(["--parts", "everything"])


def test_searches_are_compared_and_timed(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = load_script("gpu_check")
    check = script.Check(script.parse_options(QUICK))
    check.compare_searches(load_bundle(tiny_run, device="cpu"), [[5, 6, 7], [8], [9, 10]])
    assert check.failures == 0
    assert capsys.readouterr().out.count("agrees") == 2
    assert check.figures["decoding_fp32_beam_5_replayed"]["tokens_per_second"] > 0
    assert check.figures["decoding_fp32_beam_1_plain"]["milliseconds_alone"] > 0


def test_steps_that_compute_something_else_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    script = load_script("gpu_check")
    check = script.Check(script.parse_options(QUICK))
    monkeypatch.setattr(script.Check, "_time_steps", lambda *arguments: None)
    step = script.GraphedStepModel.step
    monkeypatch.setattr(script.GraphedStepModel, "step", lambda *arguments: step(*arguments) + 0.1)
    check.steps()
    assert check.failures == 2


def test_the_work_of_a_step_is_counted_by_hand() -> None:
    script = load_script("gpu_decoding")
    shape = {"encoder_layers": 1, "decoder_layers": 2, "d_model": 16, "d_ff": 24, "num_heads": 2}
    model = build_model(ModelSettings(**shape), 30, 30, seed=1)
    work = script.work_of_step(model, sentences=3, width=5, memory=7, position=11, bytes_each=2)
    # Six square matrices (query, key, value and output; query and output), biases of all eight, feed-forward, norms.
    layer = 6 * 16 * 16 + 8 * 16 + 2 * 16 * 24 + 24 + 16 + 3 * 2 * 16
    weights = 2 * layer + 30 * 16
    assert work.flops == 2 * weights * 3 * 5
    assert work.bytes == 2 * (weights + 2 * 2 * 16 * 3 * (7 + 5 * 11))
