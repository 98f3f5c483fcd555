"""Metrics of a run: always JSON lines, one object per line, appended; TensorBoard's event files on request.

Nothing written is ever changed. A run that was killed repeats the steps after its newest checkpoint, so some steps
are in the file twice; `read_metrics` returns what counts in the end.
"""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

from translator.errors import DataError
from translator.runtime.console import warn
from translator.runtime.files import append_text, write_bytes
from translator.runtime.json_files import parse_json
from translator.training.tensorboard import EventFiles

_LINE = {
    "kind": str,
    "step?": (int, None),
    "scores?": [{"name": str, "value": (float, None), "signature": str}],
}
RESUME = "resume"
"""Kind of the line that says after which step a run continued."""


class MetricsLog:
    """Appends to a `.jsonl` file, and to event files in the directory `tensorboard` if one is given.

    Every line has `kind`, `time` (seconds since 1970) and what the caller gives. Raises `ConfigError` if
    TensorBoard is asked for but not installed.
    """

    def __init__(self, path: Path, tensorboard: Path | None = None) -> None:
        self.path = path
        self._events = EventFiles(tensorboard) if tensorboard is not None else None
        self._step = 0
        self._resumes = False
        self._is_whole = False

    def continue_after(self, step: int) -> None:
        """Note that training continues after `step`, by resuming or by going back: what later steps wrote is void.

        This is written with the next line, so that a run that has nothing left to do does not change the file.
        """
        self._step, self._resumes = step, self.path.is_file()

    def write(self, kind: str, **values: Any) -> None:
        """Append one line; `kind` says what the values are (`train`, `valid`, ...).

        Lines about training have a `step`. If there is `nll`, `perplexity` is added. Figures that are not finite
        become null, since JSON cannot express them.
        """
        if not self._is_whole:
            _end_last_line(self.path)
            self._is_whole = True
        if self._resumes:
            self._resumes = False
            if self._events is not None:
                self._events.void_after(self._step)
            self._append({"kind": RESUME, "time": round(time.time(), 3), "step": self._step})
        if "nll" in values:
            values["perplexity"] = math.exp(min(values["nll"], 700.0))
        line = {"kind": kind, "time": round(time.time(), 3), **_finite(values)}
        self._append(line)
        self._step = values.get("step", self._step)
        if self._events is not None:
            self._events.write(self._step, line)

    def _append(self, line: dict[str, Any]) -> None:
        append_text(self.path, json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")

    def close(self) -> None:
        """Close the event files; nothing is lost without it, since every line is flushed."""
        if self._events is not None:
            self._events.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a metrics file that count, in the order of time, even while a run is writing it.

    Lines of steps after a checkpoint from which the run continued later are left out; of several lines of one kind
    and step, the last one counts. A half-written last line is skipped, any other damaged line with a warning.
    Raises `DataError` for a file that cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); expected the metrics of a run") from None
    *lines, unfinished = text.split("\n")
    counting: dict[object, dict[str, Any]] = {}
    for number, line in enumerate([*lines, unfinished], start=1):
        entry = _parse(line)
        if entry is None:
            if number <= len(lines):
                warn(f"{path}, line {number:,} is damaged and left out: {line[:40]!r}")
            continue
        step = entry.get("step")
        if entry.get("kind") == RESUME and step is not None:
            counting = {key: kept for key, kept in counting.items() if kept.get("step", 0) <= step}
        key = (entry.get("kind"), number if step is None else step)
        counting.pop(key, None)
        counting[key] = entry
    return list(counting.values())


def _parse(line: str) -> dict[str, Any] | None:
    try:
        entry: dict[str, Any] = parse_json(line, _LINE)
    except ValueError:
        return None
    return entry


def _finite(value: Any) -> Any:
    """Replace infinite floats and NaN in plain values for JSON by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value


def _end_last_line(path: Path) -> None:
    """Complete a last line that lacks only its newline, or cut off a half-written one that a killed run left."""
    content = path.read_bytes() if path.is_file() else b""
    if content and path.stat().st_nlink > 1:
        # A backup made of hard links must not grow with the run.
        write_bytes(path, content)
    tail = content[content.rfind(b"\n") + 1 :]
    if tail and _parse(tail.decode("utf-8", errors="replace")) is not None:
        append_text(path, "\n")
    elif tail:
        os.truncate(path, len(content) - len(tail))
