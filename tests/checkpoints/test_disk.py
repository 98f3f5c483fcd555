"""A disk that refuses: a sentence with the way out, nothing half-written, and what was there stays."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import translator
from translator.checkpoints import Checkpoint, RunDirectory, explained_disk_errors, read_checkpoint, write_checkpoint
from translator.errors import CheckpointError

REASONS = [
    (errno.ENOSPC, r"No space left on device \(0.8 MB needed, .* free\)", "make room there"),
    (errno.EDQUOT, r"Disk quota exceeded \(0.8 MB needed, .* free\)", "quota raised"),
    (errno.EROFS, "Read-only file system", "run=DIRECTORY"),
    (errno.EACCES, "Permission denied", "make it writable for this user"),
    (errno.EIO, "Input/output error", "check the disk"),
]

LIMITED = """
import resource, signal, sys, torch
from pathlib import Path
from translator.checkpoints import Checkpoint, write_checkpoint
from translator.errors import CheckpointError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_checkpoint(Path(sys.argv[1]), Checkpoint({"a": torch.ones(100_000)}, {}, {"step": 20}))
except CheckpointError as error:
    print(error)
"""


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path / "run")
    write_checkpoint(run.checkpoint(10), Checkpoint({"a": torch.ones(4)}, {}, {"step": 10}))
    return run


def assert_as_before(run: RunDirectory) -> None:
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-00000010"]
    assert read_checkpoint(run.checkpoint(10)).state == {"step": 10}


@pytest.mark.parametrize("call", ["mkdir", "fsync", "rename"])
@pytest.mark.parametrize(("number", "reason", "remedy"), REASONS)
def test_the_reason_what_is_intact_and_the_remedy_are_said(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, call: str, number: int, reason: str, remedy: str
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    large = {"a": torch.ones(100_000)}
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(CheckpointError, match=f"cannot write {run.checkpoint(20)}: {reason}") as caught:
            write_checkpoint(run.checkpoint(20), Checkpoint(large, {"a/m": large["a"]}, {"step": 20}))
    assert f"{run.checkpoint(10)} is intact" in str(caught.value) and remedy in str(caught.value)
    assert_as_before(run)


def test_a_limit_in_the_middle_of_a_file_is_explained(run: RunDirectory) -> None:
    root = Path(translator.__file__).parents[1]
    command = [sys.executable, "-c", LIMITED, str(run.checkpoint(20))]
    result = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert f"cannot write {run.checkpoint(20)}: File too large; {run.checkpoint(10)} is intact" in result.stdout, (
        result.stderr
    )
    assert "ulimit -f" in result.stdout
    assert_as_before(run)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the disk that is always full")
def test_other_files_of_a_run_are_named(run: RunDirectory) -> None:
    full = Path("/dev/full")
    with pytest.raises(CheckpointError, match=f"cannot write {run.root}: No space left on device"), (
        explained_disk_errors(run)
    ):  # fmt: skip
        full.write_text("x")
    with pytest.raises(CheckpointError, match=f"cannot write {full}/x: Not a directory; .*step-00000010 is intact"), (
        explained_disk_errors(run)
    ):  # fmt: skip
        (full / "x").mkdir()


def test_other_errors_pass(run: RunDirectory) -> None:
    with pytest.raises(FileNotFoundError), explained_disk_errors(run):
        (run.root / "absent").read_text()
