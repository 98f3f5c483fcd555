"""Trainings that are not alone: whom one waits for, a terminal that closes, and what is in the working directory."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from translator.checkpoints import RunDirectory

pytestmark = pytest.mark.slow  # Every test starts the program in a process of its own.

HOLD = """
import pathlib, sys
from translator.runtime.files import locked
with locked(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("words", [[], ["devices=2", "device=cpu"]])
def test_a_closed_terminal_saves(
    words: list[str], settings_file: Path, terminate_in_training: Callable[..., tuple[int, str]]
) -> None:
    code, errors = terminate_in_training(settings_file, *words, number=signal.SIGHUP)
    assert code == 129, errors
    (step,) = RunDirectory(settings_file.parent / "run").steps()
    assert f"stopped by SIGHUP after step {step:,}; the same command continues from here" in errors


@pytest.mark.parametrize("way", [["-m", "translator"], ["-P", "-c", "from translator.cli.app import main; main()"]])
def test_libraries_do_not_come_from_the_working_directory(way: list[str], settings_file: Path, tmp_path: Path) -> None:
    directory = tmp_path / "planted"
    directory.mkdir()
    # `python -m` itself looks for a few of the standard library, before any program of ours.
    names = ["yaml", "typer", "numpy", "torch", "pydantic"]
    names += ["typing", "json", "runpy", "random", "sitecustomize"] if "-P" in way else []
    for name in names:
        (directory / f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'a').write('{name} ')\n")
    command = [sys.executable, *way, "train", str(settings_file), "devices=2", "device=cpu", "training.max_steps=2"]
    result = subprocess.run(command, cwd=directory, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)
    assert not (tmp_path / "executed").exists(), (tmp_path / "executed").read_text()
    assert result.returncode == 0, result.stderr
    assert RunDirectory(settings_file.parent / "run").steps() == [2]


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="who holds a lock is read from /proc/locks")
def test_a_second_training_says_for_whom_it_waits(settings_file: Path) -> None:
    run = settings_file.parent / "run"
    run.mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdin is not None and holder.stdout.readline() == "locked\n"
    second = subprocess.Popen(
        [sys.executable, "-m", "translator", "train", str(settings_file), "training.max_steps=2"],
        env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert second.stderr is not None
    waiting = next(line for line in second.stderr if line.startswith("waiting"))
    assert waiting.startswith(f"waiting for process {holder.pid} (") and waiting.endswith(f"at work in {run}\n")
    holder.communicate("")
    _, errors = second.communicate(timeout=PATIENCE)
    assert second.returncode == 0, errors
    assert RunDirectory(run).steps() == [2]
