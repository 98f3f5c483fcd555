"""Metrics of a run as JSON lines: one object a line, appended, for people and programs to read later."""

import json
import time
from pathlib import Path
from typing import Any


class MetricsLog:
    """Appends to a `.jsonl` file; every line has `time` (seconds since 1970) and what the caller gives."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, kind: str, **values: Any) -> None:
        """Append one line; `kind` says what the values are (`train`, `valid`, ...)."""
        line = json.dumps({"kind": kind, "time": round(time.time(), 3), **values}, ensure_ascii=False)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
