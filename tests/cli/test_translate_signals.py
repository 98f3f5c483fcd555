"""`translator translate --output` that a signal ends: what was translated is noted, and the same command continues."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from translator.translation.unfinished import find_notes, find_texts

pytestmark = pytest.mark.slow  # Every test starts the program in a process of its own.

LINES = [b"a dog runs.\n", b"\n", b"the red cat sleeps in the house.\n", b"a man reads.\n"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGHUP, 129), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_note_of_all_that_was_translated(
    number: signal.Signals, code: int, tiny_run: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    command = [sys.executable, "-m", "translator", "translate", str(tiny_run), "--output", str(output)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    first = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert first.stdin is not None
    for count in (2, 1):
        # The last line comes within the second after the note of those before it.
        first.stdin.write(b"".join(LINES[:2] if count == 2 else LINES[2:3]))
        first.stdin.flush()
        written = 2 if count == 2 else 3
        deadline = time.monotonic() + PATIENCE
        while [text.read_bytes().count(b"\n") for text in find_texts(output)] != [written]:
            assert time.monotonic() < deadline and first.poll() is None
            time.sleep(0.02)
    first.send_signal(number)
    _, errors = first.communicate(timeout=PATIENCE)
    assert first.returncode == code and b"3 lines of" in errors and b"Traceback" not in errors
    assert [json.loads(note.read_text())["lines"] for note in find_notes(output)] == [3]
    result = subprocess.run(command, input=b"".join(LINES), env=environment, capture_output=True, timeout=PATIENCE)
    assert result.returncode == 0, result.stderr
    whole = subprocess.run(command[:-2], input=b"".join(LINES), env=environment, capture_output=True, timeout=PATIENCE)
    assert output.read_bytes() == whole.stdout and output.read_bytes().count(b"\n") == 4
