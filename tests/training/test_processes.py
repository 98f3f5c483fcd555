"""Several processes through the real command: the same training as one, continued by more or fewer, ended together."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import translator
from tests.patience import PATIENCE
from translator.checkpoints import RunDirectory, read_checkpoint

SETTINGS = (
    "model.dropout=0", "precision=fp32", "training.adam_epsilon=1e-3", "training.validation_sentences=4", "threads=1",
)  # fmt: skip


Call = Callable[..., tuple[int, str, str]]
Start = Callable[..., list[subprocess.Popen[str]]]


def end(processes: list[subprocess.Popen[str]]) -> tuple[list[int], str, str]:
    """Wait for the processes of a job; return their exit codes, and what they wrote to stdout and stderr."""
    written = [process.communicate(timeout=PATIENCE) for process in processes]
    return [process.returncode for process in processes], *("".join(texts) for texts in zip(*written, strict=True))


def checkpoint_of(run: Path, step: int) -> Any:
    return read_checkpoint(RunDirectory(run).checkpoint(step))


def assert_close(run: Path, other: Path, step: int) -> None:
    found, expected = checkpoint_of(run, step), checkpoint_of(other, step)
    assert found.weights.keys() == expected.weights.keys()
    for name, weight in expected.weights.items():
        torch.testing.assert_close(found.weights[name], weight, atol=2e-5, rtol=1e-4)
    assert found.state["target_tokens"] == expected.state["target_tokens"]
    assert found.state["epoch"] == expected.state["epoch"] and found.state["position"] == expected.state["position"]
    assert abs(found.state["history"][-1]["loss"] - expected.state["history"][-1]["loss"]) < 1e-3


def test_processes_are_invisible_in_the_result(
    settings_file: Path, call_program: Call, start_ranks: Start, run_command: Callable[..., Any]
) -> None:
    """Two processes of three batches equal one of six, sharded or not; any number of them can continue."""
    directory = settings_file.parent
    alone, pair, sharded = directory / "alone", directory / "pair", directory / "sharded"
    common = ("train", settings_file, *SETTINGS, "training.batch_tokens=100", f"data.prepared={directory / 'prepared'}")
    code, _, errors = call_program(*common, f"run={alone}", "training.accumulate=6")
    assert code == 0, errors
    half = ("training.max_steps=8", "training.accumulate=3")
    result = run_command(*common, *half, f"run={pair}", "devices=2")
    assert result.returncode == 0, result.stderr.decode()
    shared = ("training.sharded=true", "training.ema_decay=0.0")
    job = end(start_ranks(2, "-m", "translator", *common, *half, f"run={sharded}", *shared))
    started = [(result.stdout.decode(), result.stderr.decode()), job[1:]]
    for run, (output, errors) in zip((pair, sharded), started, strict=True):
        assert "2 processes" in errors and errors.count("finished after 8 steps") == 1, errors
        assert output.splitlines() == [str(run)]
        assert_close(run, alone, 8)
    # From two processes to one, and from two that were sharded to three that are not.
    code, _, errors = call_program(*common, f"run={pair}", "training.accumulate=6")
    assert code == 0, errors
    assert "resuming after step 8" in errors
    assert_close(pair, alone, 12)
    codes, _, errors = end(start_ranks(3, "-m", "translator", *common, f"run={sharded}", "training.accumulate=2"))
    assert codes == [0, 0, 0], errors
    assert_close(sharded, alone, 12)


def write_program(directory: Path, prelude: str) -> Path:
    """Write the program, as it is after `prelude`; there, `now[0]` is the update of the process, from 1."""
    program = directory / "program.py"
    program.write_text(PRELUDE + prelude + "\nfrom translator.cli.app import main\nmain()\n")
    return program


PRELUDE = """
import math, os, torch
from translator.model import Transformer
from translator.training.update import Updater
rank, now = int(os.environ["RANK"]), [0]
update, forward = Updater.__call__, Transformer.forward
def counted(self, batches):
    now[0] += 1
    return update(self, batches)
Updater.__call__ = counted
"""


def test_what_goes_wrong_on_one_process_is_answered_by_all(
    settings_file: Path, call_program: Call, start_ranks: Start
) -> None:
    prelude = """
def out_of_memory(gradient):
    raise torch.OutOfMemoryError("out of memory, says the test")
def wrong(self, source, target):
    states = forward(self, source, target)
    if rank == 1 and now[0] == 2 and target.tokens.numel() > 64:
        # In the backward pass, while the other process sums its gradients already.
        states.register_hook(out_of_memory)
    return states * math.nan if rank == 1 and now[0] == 5 and self.training else states
Transformer.forward = wrong
"""
    directory = settings_file.parent
    common = ("train", settings_file, *SETTINGS, "training.batch_tokens=100", f"data.prepared={directory / 'prepared'}")
    code, _, errors = call_program(
        *common, f"run={directory / 'alone'}", "training.accumulate=2", "training.max_steps=4"
    )
    assert code == 0, errors
    program = write_program(directory, prelude)
    codes, _, errors = end(start_ranks(2, program, *common, f"run={directory / 'pair'}", "training.max_steps=8"))
    assert codes == [0, 0], errors
    assert errors.count("is done again in halves") == 1
    assert_close(directory / "pair", directory / "alone", 4)
    assert "step 5 had a gradient that is not finite and was skipped" in errors
    state = checkpoint_of(directory / "pair", 8).state
    assert (state["skipped"], state["step"]) == (1, 8)


def test_a_process_that_fails_ends_all_and_says_why(settings_file: Path, start_ranks: Start) -> None:
    prelude = """
def fail(self, batches):
    if rank == 1:
        raise RuntimeError("the second process fails on purpose")
    return update(self, batches)
Updater.__call__ = fail
"""
    program = write_program(settings_file.parent, prelude)
    codes, output, errors = end(start_ranks(2, program, "train", settings_file, *SETTINGS))
    assert codes == [1, 1] and output == ""
    assert "rank 1 failed" in errors and errors.count("Traceback") == 1, errors
    assert errors.endswith("RuntimeError: the second process fails on purpose\n")


@pytest.mark.slow
def test_torchrun_starts_killed_processes_again_and_they_go_on(settings_file: Path) -> None:
    prelude = """
import pathlib, signal
marker = pathlib.Path(__file__).with_name("killed")
def killed(self, batches):
    if rank == 1 and now[0] == 6 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return counted(self, batches)
Updater.__call__ = killed
"""
    program = write_program(settings_file.parent, prelude)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(translator.__file__).parents[1])}
    result = subprocess.run(
        [*command, program, "train", settings_file, *SETTINGS],
        capture_output=True, text=True, env=environment, timeout=PATIENCE,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert (settings_file.parent / "killed").exists()
    assert "resuming after step 4" in result.stderr and "finished after 12 steps" in result.stderr


def test_sigterm_reaches_all_processes_and_the_run_goes_on(
    settings_file: Path, terminate_in_training: Callable[..., tuple[int, str]], call_program: Call
) -> None:
    code, errors = terminate_in_training(settings_file, *SETTINGS, "devices=2")
    assert code == 143, errors
    match = re.search(r"stopped by SIGTERM after step ([\d,]+)", errors)
    assert match, errors
    step = int(match[1].replace(",", ""))
    assert RunDirectory(settings_file.parent / "run").steps() == [step]
    code, _, errors = call_program("train", settings_file, *SETTINGS, f"training.max_steps={step + 2}")
    assert code == 0 and f"resuming after step {step:,}" in errors, errors
