"""Metrics of a run: JSON lines always, one object a line, appended; TensorBoard's event files where they are asked for.

Nothing written is ever changed. A run that was killed repeats the steps after its newest checkpoint, so some steps
stand twice in the file; `read_metrics` gives what counts in the end.
"""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

from translator.errors import DataError
from translator.runtime.console import warn
from translator.training.tensorboard import EventFiles

RESUME = "resume"
"""Kind of the line that says after which step a run went on."""


class MetricsLog:
    """Appends to a `.jsonl` file, and to event files in the directory `tensorboard` where one is given.

    Every line has `kind`, `time` (seconds since 1970) and what the caller gives. Raises `ConfigError` where
    TensorBoard is asked for and not installed.
    """

    def __init__(self, path: Path, tensorboard: Path | None = None) -> None:
        self.path = path
        self._events = EventFiles(tensorboard) if tensorboard is not None else None
        self._step = 0
        self._resumes = False
        self._is_whole = False

    def continue_after(self, step: int) -> None:
        """Say that training goes on after `step`, by resuming or by going back: what later steps wrote is void.

        The file takes notice with the next line; a run that has nothing left to do leaves it alone.
        """
        self._step, self._resumes = step, self.path.is_file()

    def write(self, kind: str, **values: Any) -> None:
        """Append one line; `kind` says what the values are (`train`, `valid`, ...).

        `step` belongs to whatever happens during training. Where there is `nll`, `perplexity` is added. Figures
        that are not finite become null, since JSON has no other word for them.
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
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")

    def close(self) -> None:
        """End the event files; nothing is lost without it, since every line is flushed."""
        if self._events is not None:
            self._events.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read what counts of a metrics file, in the order of time, also while a run is writing it.

    Left out is what was written of steps after a checkpoint from which the run went on later; of lines of one kind
    and step, the last one stands. A half-written last line is passed over, any other damaged one with a warning.
    Raises `DataError` for a file that cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); expected the metrics of a run") from None
    *lines, unfinished = text.split("\n")
    standing: dict[object, dict[str, Any]] = {}
    for number, line in enumerate([*lines, unfinished], start=1):
        entry = _parse(line)
        if entry is None:
            if number <= len(lines):
                warn(f"{path}, line {number:,} is damaged and left out: {line[:40]!r}")
            continue
        step = entry.get("step")
        if entry.get("kind") == RESUME and step is not None:
            standing = {key: kept for key, kept in standing.items() if kept.get("step", 0) <= step}
        key = (entry.get("kind"), number if step is None else step)
        standing.pop(key, None)
        standing[key] = entry
    return list(standing.values())


def _parse(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _finite(value: Any) -> Any:
    """Replace the floats in plain values for JSON that are infinite or no number by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value


def _end_last_line(path: Path) -> None:
    """Complete a last line that lacks only its end, or cut off the half that a killed run left of it."""
    content = path.read_bytes() if path.is_file() else b""
    tail = content[content.rfind(b"\n") + 1 :]
    if tail and _parse(tail.decode("utf-8", errors="replace")) is not None:
        with path.open("ab") as file:
            file.write(b"\n")
    elif tail:
        os.truncate(path, len(content) - len(tail))
