"""The form that commands on settings share: `[CONFIG.yaml] [KEY=VALUE ...]`."""

from collections.abc import Sequence
from pathlib import Path

import typer


def split_arguments(arguments: Sequence[str] | None) -> tuple[Path | None, list[str]]:
    """Separate a leading settings file from the `KEY=VALUE` words; anything else is wrong usage."""
    words = list(arguments or [])
    path = Path(words.pop(0)) if words and "=" not in words[0] else None
    for word in words:
        if "=" not in word:
            raise typer.BadParameter(f"{word!r}: expected KEY=VALUE, such as training.max_steps=8k")
    return path, words
