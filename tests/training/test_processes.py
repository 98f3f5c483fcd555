"""Several processes through the real command: the same training as one, continued by more or fewer, ended together."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import translator
from translator.checkpoints import RunDirectory, read_checkpoint

SETTINGS = (
    "model.dropout=0", "precision=fp32", "training.adam_epsilon=1e-3", "training.validation_sentences=4", "threads=1",
)  # fmt: skip


def train(*words: object) -> subprocess.CompletedProcess[str]:
    """Call the program."""
    command = [sys.executable, "-m", "translator", "train", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)


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


def test_processes_are_invisible_in_the_result(settings_file: Path) -> None:
    """Two processes of three batches are one of six; sharded too; and other numbers go on from their checkpoints."""
    place = settings_file.parent
    alone, pair, sharded = place / "alone", place / "pair", place / "sharded"
    common = (settings_file, *SETTINGS, "training.batch_tokens=100", f"data.prepared={place / 'prepared'}")
    result = train(*common, f"run={alone}", "training.accumulate=6")
    assert result.returncode == 0, result.stderr
    half = ("training.max_steps=8", "training.accumulate=3", "devices=2")
    for run, more in ((pair, ()), (sharded, ("training.sharded=true", "training.ema_decay=0.0"))):
        result = train(*common, f"run={run}", *half, *more)
        assert result.returncode == 0, result.stderr
        assert "2 processes" in result.stderr and result.stderr.count("finished after 8 steps") == 1
        assert result.stdout.splitlines() == [str(run)]
        assert_close(run, alone, 8)
    # From two processes to one, and from two that were sharded to three that are not.
    result = train(*common, f"run={pair}", "training.accumulate=6")
    assert result.returncode == 0, result.stderr
    assert "resuming after step 8" in result.stderr
    assert_close(pair, alone, 12)
    result = train(*common, f"run={sharded}", "training.accumulate=2", "devices=3")
    assert result.returncode == 0, result.stderr
    assert_close(sharded, alone, 12)


def torchrun(directory: Path, prelude: str, *words: object, restarts: int = 0) -> subprocess.CompletedProcess[str]:
    """Call the program in two processes that first do what `prelude` says; `now[0]` is the update there, from 1."""
    program = directory / "program.py"
    program.write_text(PRELUDE + prelude + "\nfrom translator.cli.app import main\nmain()\n")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(translator.__file__).parents[1])}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command.append(f"--max-restarts={restarts}")
    return subprocess.run(
        [*command, program, "train", *map(str, words)], capture_output=True, text=True, env=environment, timeout=240
    )


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


def test_what_goes_wrong_on_one_process_is_answered_by_all(settings_file: Path) -> None:
    prelude = """
def wrong(self, source, target):
    states = forward(self, source, target)
    if rank == 1 and now[0] == 2 and target.tokens.numel() > 64:
        raise torch.OutOfMemoryError("out of memory, says the test")
    return states * math.nan if rank == 1 and now[0] == 5 and self.training else states
Transformer.forward = wrong
"""
    place = settings_file.parent
    common = (settings_file, *SETTINGS, "training.batch_tokens=100", f"data.prepared={place / 'prepared'}")
    result = train(*common, f"run={place / 'alone'}", "training.accumulate=2", "training.max_steps=4")
    assert result.returncode == 0, result.stderr
    result = torchrun(place, prelude, *common, f"run={place / 'pair'}", "training.max_steps=8")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("is done again in halves") == 1
    assert_close(place / "pair", place / "alone", 4)
    assert "step 5 had a gradient that is not finite and was skipped" in result.stderr
    state = checkpoint_of(place / "pair", 8).state
    assert (state["skipped"], state["step"]) == (1, 8)


def test_a_process_that_fails_ends_all_and_says_why(settings_file: Path) -> None:
    prelude = """
def fail(self, batches):
    if rank == 1:
        raise RuntimeError("the second process fails on purpose")
    return update(self, batches)
Updater.__call__ = fail
"""
    began = time.monotonic()
    result = torchrun(settings_file.parent, prelude, settings_file, *SETTINGS)
    assert result.returncode != 0
    assert "rank 1 failed" in result.stderr
    before = result.stderr[: result.stderr.index("the second process fails on purpose")]
    assert before.count("Traceback") == 1, result.stderr
    assert time.monotonic() - began < 100


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
    result = torchrun(settings_file.parent, prelude, settings_file, *SETTINGS, restarts=1)
    assert result.returncode == 0, result.stderr
    assert (settings_file.parent / "killed").exists()
    assert "resuming after step 4" in result.stderr and "finished after 12 steps" in result.stderr


def test_sigterm_reaches_all_processes_and_the_run_goes_on(
    settings_file: Path, terminate_in_training: Callable[..., tuple[int, str]]
) -> None:
    code, errors = terminate_in_training(settings_file, *SETTINGS, "devices=2")
    assert code == 143, errors
    match = re.search(r"stopped by SIGTERM after step ([\d,]+)", errors)
    assert match, errors
    step = int(match[1].replace(",", ""))
    assert RunDirectory(settings_file.parent / "run").steps() == [step]
    result = train(settings_file, *SETTINGS, f"training.max_steps={step + 2}")
    assert result.returncode == 0 and f"resuming after step {step:,}" in result.stderr, result.stderr
