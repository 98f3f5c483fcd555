"""Translates a very long file, kills the translation again and again, and compares with an uninterrupted one.

    python scripts/check_resume.py RUN SOURCE [--lines 1000000] [--kills 5] [--set KEY=VALUE ...]

The lines of SOURCE are repeated until there are enough. Prints times, peak memory (Linux) and whether all bytes are
equal; exits with 1 if they are not.
"""

import argparse
import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from translator.text import decode_lines, open_input
from translator.translation.unfinished import find_notes


def main() -> int:
    """Run the check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="translator-") as directory:
        source, whole, killed = (Path(directory) / name for name in ("source", "whole", "killed"))
        lines = list(decode_lines(open_input(options.source), str(options.source)))
        with source.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in itertools.islice(itertools.cycle(lines), options.lines))
        settings = [word for setting in options.settings for word in ("--set", setting)]

        def translate(output: Path) -> subprocess.Popen[bytes]:
            command = [
                sys.executable,
                "-m",
                "translator",
                "translate",
                options.run,
                source,
                "--output",
                output,
                *settings,
            ]
            return subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE)

        seconds, peak, last = _finish(translate(whole))
        print(f"{options.lines:,} lines in {seconds:.0f} s, peak memory {peak} MiB; progress ended with: {last}")
        kills = []
        for number in range(1, options.kills + 1):
            goal = number * options.lines // (options.kills + 1)
            kills.append(_kill_after(translate(killed), killed, goal))
        seconds, peak, _ = _finish(translate(killed))
        print(
            f"killed after {', '.join(f'{lines:,}' for lines in kills)} lines; the rest in {seconds:.0f} s, "
            f"peak memory {peak} MiB"
        )
        equal = whole.read_bytes() == killed.read_bytes()
        count = whole.read_bytes().count(b"\n")
        print(f"{count:,} lines came out; {'every byte is equal' if equal else 'THE FILES DIFFER'}")
        return 0 if equal and count == options.lines else 1


def _finish(process: subprocess.Popen[bytes]) -> tuple[float, int, str]:
    """Wait for the end; return seconds, the peak of resident memory (MiB) and the last line of progress."""
    began, peak = time.monotonic(), 0
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        found = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
        peak = max(peak, int(found[1]) // 1024) if found else peak
        time.sleep(0.5)
    assert process.stderr is not None
    said = process.stderr.read().decode()
    if process.returncode:
        raise SystemExit(said)
    return time.monotonic() - began, peak, said.strip().replace("\r", "\n").splitlines()[-1]


def _kill_after(process: subprocess.Popen[bytes], output: Path, goal: int) -> int:
    """Kill a translation when it has noted `goal` lines; return how many it had noted."""
    lines = 0
    while lines < goal and process.poll() is None:
        time.sleep(0.05)
        lines = max((json.loads(note.read_text())["lines"] for note in find_notes(output)), default=0)
    process.kill()
    process.wait()
    return lines


if __name__ == "__main__":
    sys.exit(main())
