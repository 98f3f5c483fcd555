"""The GPU script runs from end to end on the CPU in toy sizes, so that time on a GPU is not spent on its mistakes."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts import gpu_check
from scripts.gpu_parts import candidates, commands, decoding, training
from scripts.gpu_parts import check as check_module
from scripts.gpu_parts.searches import work_of_step
from translator.config import ModelSettings
from translator.inference.cuda_graphs import GraphedStepModel
from translator.model import build_model

ROOT = Path(__file__).parents[2]
QUICK = ["--device", "cpu", "--precision", "fp32", "--quick"]


def run_script(output: Path, *arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run the script in a process without threads, as it is meant to be; `code` is run before its `main`."""
    options = ["--output", str(output), "--scratch", str(output.parent / "scratch"), *QUICK, *arguments]
    program = f"import sys\nfrom scripts import gpu_check\n{code}\nsys.exit(gpu_check.main({options!r}))"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600
    )


def found_in(output: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in output.glob("*.json")}


@pytest.mark.slow
def test_all_parts_run_anywhere(tmp_path: Path) -> None:
    commands.write_corpus(tmp_path)
    output = tmp_path / "output"
    # Budgets are for a GPU, not for a busy CPU.
    patient = "for name in gpu_check.PARTS: gpu_check.PARTS[name] = gpu_check.PARTS[name]._replace(seconds=300.0)"
    every = f"1-{len(gpu_check.PARTS)}"
    result = run_script(output, "--multi30k", str(tmp_path), "--parts", every, "--seconds", "600", code=patient)
    found = found_in(output)
    assert {name: part["status"] for name, part in found.items()} == dict.fromkeys(gpu_check.PARTS, "passed"), (
        result.stdout + result.stderr
    )
    assert result.returncode == 0
    figures = {name: part["figures"] for name, part in found.items()}
    assert figures["ceilings"]["copy_gb_per_second"] > 0 and figures["ceilings"]["doctor"]["torch"]
    assert figures["eager"]["base_eager"]["tokens_per_second"] > 0
    assert figures["big"]["big_compiled"]["share_of_matmul"] > 0
    # Toy sizes are traced, and the graph is run as it is.
    assert ["first step", "with compilation"] in [[what, note] for what, _, note in found["base"]["rows"]]
    for candidate in ("attention, causal, flex", "loss, compiled", "vocabulary step, 3 x 5, read once"):
        assert figures["candidates"][candidate]["error"] < 1e-4
    assert figures["decoding"]["step_replayed_128x5"]["microseconds"] > 0
    assert figures["sample"]["sample"]["step"] == 6 and figures["multi30k"]["multi30k"]["step"] in (2, 4)
    assert "self CPU time total" in (output / "profile-big.txt").read_text().replace("Self", "self")
    table = (output / "table.md").read_text()
    assert "FAILS" not in table and all(f"| {name} |" in table for name in gpu_check.PARTS)


FAILING = """
from scripts.gpu_parts import device, training, decoding
import os, time
def crash(check): check.add("before", "the crash", figure=1); os.kill(os.getpid(), 11)
def hang(check): check.add("before", "the end", figure=2); time.sleep(60)
def differ(check): check.expect(False, "a sum", "1 instead of 2")
def refuse(check): raise ValueError("not today")
device.ceilings, device.kernels, training.precision, training.eager = crash, hang, differ, refuse
gpu_check.PARTS["kernels"] = gpu_check.Part("device.kernels", 1.0)
"""


@pytest.mark.slow
def test_a_part_that_fails_ends_no_other_and_comes_again(tmp_path: Path) -> None:
    output = tmp_path / "output"
    result = run_script(output, "--parts", "1-4,base", code=FAILING)
    assert result.returncode == 1
    found = found_in(output)
    assert {name: part["status"] for name, part in found.items()} == {
        "ceilings": "crashed (-11)", "kernels": "timed out", "precision": "failed", "eager": "raised", "base": "passed",
    }, result.stdout + result.stderr  # fmt: skip
    # What was found before the end is kept, and the table says what was wrong.
    assert found["ceilings"]["figures"] == {"figure": 1} and found["kernels"]["figures"] == {"figure": 2}
    assert "ValueError: not today" in found["eager"]["problem"]
    table = (output / "table.md").read_text()
    assert "a sum: 1 instead of 2" in table and "ended after 1 seconds" in table and "ValueError: not today" in table
    result = run_script(output, "--parts", "ceilings,precision,base")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "base: passed in an earlier call" in result.stdout
    assert found_in(output)["ceilings"]["status"] == "passed"


def test_parts_come_in_order_and_fit_into_ten_minutes() -> None:
    seconds = {name: part.seconds for name, part in gpu_check.PARTS.items()}
    assert list(seconds) == [
        "ceilings", "kernels", "precision", "eager", "decoding", "base", "huggingface", "sample", "big", "multi30k",
        "candidates",
    ]  # fmt: skip
    assert [seconds[name] for name in gpu_check.chosen_parts(gpu_check.USUAL)][:-1] == [
        30, 30, 40, 40, 60, 120, 60, 60, 120,
    ]  # fmt: skip
    assert sum(list(seconds.values())[:9]) < gpu_check.parse_options(["--output", "x"]).seconds < 600
    assert "candidates" not in gpu_check.parse_options(["--output", "x"]).chosen


def test_a_candidate_that_fails_ends_no_other(
    check: Callable[[str], check_module.Check], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no such instruction\nin line 1")

    monkeypatch.setattr(candidates, "best_tokens", fail)
    part = check("candidates")
    candidates.compare_vocabulary_steps(part)
    assert part.failures == ["vocabulary step, 3 x 5, read once: RuntimeError: no such instruction"]
    assert [what.rpartition(", ")[2] for what, _, _ in part.rows] == ["copy in fp32", "read once", "compiled"]


def test_without_time_no_part_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_check, "run_with_limit", lambda *arguments: pytest.fail("a part was started"))
    monkeypatch.setattr(gpu_check.time, "monotonic", iter([0.0, *[575.0] * 20]).__next__)
    assert gpu_check.main(["--output", str(tmp_path), *QUICK]) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", ["precision"]),
        ("1-2,decoding", ["ceilings", "kernels", "decoding"]),
        ("multi30k,1", ["ceilings", "multi30k"]),
        ("1-10", list(gpu_check.PARTS)[:-1]),
        ("1-11", list(gpu_check.PARTS)),
    ],
)
def test_parts_are_chosen_by_name_and_number(text: str, expected: list[str]) -> None:
    assert gpu_check.chosen_parts(text) == expected


@pytest.mark.parametrize("text", ["0", "12", "3-1", "everything", "1-", ""])
def test_parts_that_do_not_exist_are_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu_check.parse_options(["--output", "x", "--parts", text])
    assert "--parts: found" in capsys.readouterr().err


def test_wheels_are_importable_here_and_in_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "carried-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carried_for_a_test.py", "ANSWER = 42\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    gpu_check.unpack_wheels(tmp_path, tmp_path / "unpacked")
    code = "import carried_for_a_test; print(carried_for_a_test.ANSWER)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "42\n"
    assert os.environ["PYTHONPATH"].endswith(os.pathsep + "/elsewhere")
    with pytest.raises(SystemExit, match="found no"):
        gpu_check.unpack_wheels(tmp_path / "unpacked", tmp_path)


@pytest.fixture
def check(tmp_path: Path) -> Callable[[str], check_module.Check]:
    def make(part: str) -> check_module.Check:
        return check_module.Check(part, gpu_check.parse_options(["--output", str(tmp_path), *QUICK]), 100.0)

    return make


def test_steps_that_compute_something_else_fail(
    check: Callable[[str], check_module.Check], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = GraphedStepModel.step
    monkeypatch.setattr(GraphedStepModel, "step", lambda *arguments: step(*arguments) + 0.1)
    part = check("decoding")
    model = build_model(part.preset("base").model, 500, 500, seed=1).eval()
    decoding.compare_steps(part, model)
    assert len(part.failures) == 2
    assert check_module.read(part.output / "decoding.json")["rows"][0][1] == "FAILS"


def test_searches_in_turn_that_fail_or_differ_are_named(
    check: Callable[[str], check_module.Check], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = decoding.NativeEngine.search

    def search(engine: decoding.NativeEngine, *arguments: Any) -> Any:
        if engine.workers > 1:
            if raises:
                raise RuntimeError("operation not permitted when stream is capturing")
            return real(engine, *arguments)[::-1]
        return real(engine, *arguments)

    monkeypatch.setattr(decoding.NativeEngine, "search", search)
    sources = [[5, 6, 7], [8, 9], [10, 11, 12, 13]]
    problems = []
    for raises in (True, False):  # noqa: B007, `search` reads it
        part = check("decoding")
        model = build_model(part.preset("base").model, 50, 50, seed=1).eval()
        decoding.compare_workers(part, model, sources)
        assert part.figures["searches_in_turn_1"]["tokens_per_second"] > 0
        problems += part.failures
    assert "stream is capturing" in problems[0] and "of 3 sentences differ" in problems[1]


def test_gradients_that_are_wrong_fail(
    check: Callable[[str], check_module.Check], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = training.batch_loss

    def wrong(*arguments: Any, **options: Any) -> Any:
        loss = real(*arguments, **options)
        return loss if options["dtype"] == torch.float32 else loss._replace(objective=loss.objective * 1.1)

    monkeypatch.setattr(training, "batch_loss", wrong)
    monkeypatch.setattr(training.dist, "init_process_group", lambda *arguments, **options: None)
    monkeypatch.setattr(training.dist, "destroy_process_group", lambda: None)
    monkeypatch.setattr(training, "Sharded", training.Replicated)
    part = check("precision")
    training.precision(part)
    assert [failure.partition(":")[0] for failure in part.failures] == ["gradients, bf16"]


def test_the_work_of_a_step_is_counted_by_hand() -> None:
    shape = {"encoder_layers": 1, "decoder_layers": 2, "d_model": 16, "d_ff": 24, "num_heads": 2}
    model = build_model(ModelSettings(**shape), 30, 30, seed=1)
    work = work_of_step(model, sentences=3, width=5, memory=7, position=11, bytes_each=2)
    # Six square matrices (query, key, value and output; query and output), biases of all eight, feed-forward, norms.
    layer = 6 * 16 * 16 + 8 * 16 + 2 * 16 * 24 + 24 + 16 + 3 * 2 * 16
    weights = 2 * layer + 30 * 16
    assert work.flops == 2 * weights * 3 * 5
    assert work.bytes == 2 * (weights + 2 * 2 * 16 * 3 * (7 + 5 * 11))
