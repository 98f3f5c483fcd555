"""What a person sees during the work: messages and progress bars, always on stderr.

Results go to stdout and are printed by the commands, never from here.
"""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

_silent = False


def silence() -> None:
    """Say nothing more in this process: of several processes that do the same work, one reports for all."""
    global _silent
    _silent = True


def say(message: str) -> None:
    """Print a line to stderr, above any progress bar."""
    if not _silent:
        tqdm.write(message, file=sys.stderr)


def warn(message: str) -> None:
    """Print a warning to stderr, above any progress bar."""
    if not _silent:
        tqdm.write(f"warning: {message}", file=sys.stderr)


def progress(
    iterable: Iterable[Any] | None = None,
    *,
    description: str,
    total: int | None = None,
    unit: str = "it",
    initial: int = 0,
) -> Any:
    """Wrap `iterable` (or make a bar to update by hand) with a tqdm bar on stderr that shows the time left."""
    return tqdm(
        iterable,
        desc=description,
        total=total,
        unit=unit,
        initial=initial,
        file=sys.stderr,
        dynamic_ncols=True,
        disable=_silent,
        unit_scale=total is None or total > 10_000,
        mininterval=0.5 if sys.stderr.isatty() else 30.0,
    )
