"""Who holds a lock: a living process, or nobody who could be named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from translator.runtime import files
from translator.runtime.files import locked
from translator.runtime.lock_holder import describe_holder

HOLD = (
    "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX); print(flush=True); input()"
)

pytestmark = pytest.mark.skipif(not Path("/proc/locks").exists(), reason="who holds a lock is read from /proc/locks")


def hold(path: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline() == b"\n"
    return process


def test_a_living_holder_is_named_with_its_command_and_a_dead_one_is_not(tmp_path: Path) -> None:
    process = hold(tmp_path)
    described = describe_holder(tmp_path)
    assert described.startswith(f"process {process.pid} ({sys.executable} -c import fcntl")
    # The rest of a long command is left out.
    assert described.endswith("...)") and len(described) < 140
    process.kill()
    process.communicate()
    assert describe_holder(tmp_path) == "another process"
    with locked(tmp_path, wait=False):
        assert describe_holder(tmp_path).startswith(f"process {os.getpid()} (")


def test_the_holder_of_another_lock_is_not_named(tmp_path: Path) -> None:
    with locked(tmp_path):
        assert describe_holder(tmp_path.parent) == "another process"
    assert describe_holder(tmp_path / "no such file") == "another process"


def test_who_waits_is_told_for_whom_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    process = hold(tmp_path)

    def say(message: str) -> None:
        said.append(message)
        process.kill()
        process.communicate()

    monkeypatch.setattr(files, "say", say)
    with locked(tmp_path):
        pass
    (message,) = said
    assert message.startswith(f"waiting for process {process.pid} (") and message.endswith(f"at work in {tmp_path}")
