"""The forms that commands share: `[CONFIG.yaml] [KEY=VALUE ...]`, and `[FILE ...]` for lines of text."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import typer


def split_arguments(arguments: Sequence[str] | None) -> tuple[Path | None, list[str]]:
    """Separate a leading settings file from the `KEY=VALUE` words; anything else is wrong usage."""
    words = list(arguments or [])
    path = Path(words.pop(0)) if words and "=" not in words[0] else None
    for word in words:
        if "=" not in word:
            raise typer.BadParameter(f"{word!r}: expected KEY=VALUE, such as training.max_steps=8k")
    return path, words


def open_inputs(files: Sequence[Path] | None) -> list[tuple[str, BinaryIO]]:
    """Open files of lines under the names that messages give them; `-`, or no file at all, is stdin."""
    from translator.text import open_input

    return [
        (str(file), open_input(file)) if str(file) != "-" else ("stdin", sys.stdin.buffer)
        for file in files or [Path("-")]
    ]
