"""Finding the line at which two files that should be parallel go out of step, from line lengths alone."""

from array import array
from collections.abc import Iterable

import numpy as np

_MAX_SHIFT = 1000
_MIN_LINES = 4


def describe_shift(source: Iterable[str], target: Iterable[str]) -> str:
    """Return the part of a message that names the first line that looks shifted; nothing if that is unclear."""
    line = first_shifted_line(source, target)
    return f"; line {line:,} is the first that looks shifted" if line else ""


def first_shifted_line(source: Iterable[str], target: Iterable[str]) -> int | None:
    """Return the 1-based line from which the sides are shifted against each other, or None if that is unclear.

    The lengths of a sentence and its translation are correlated (Gale and Church 1993). With |log of the length ratio|
    as the cost of a line, the break is where the cost of the unshifted lines before it plus the cost of the shifted
    lines after it is least. All surplus lines of the longer side are assumed to be in one block. Host memory: 8 bytes
    a line.
    """
    left, right = (_log_lengths(lines) for lines in (source, target))
    longer, shorter = (left, right) if len(left) > len(right) else (right, left)
    shift = len(longer) - len(shorter)
    count = len(shorter)
    if not 0 < shift <= _MAX_SHIFT or count < _MIN_LINES:
        return None
    together = np.abs(longer[:count] - shorter)
    shifted = np.abs(longer[shift:] - shorter)
    # cost[k]: lines before k belong together, lines from k on are shifted.
    cost = np.concatenate([[0.0], np.cumsum(together)]) + np.concatenate([np.cumsum(shifted[::-1])[::-1], [0.0]])
    best = int(np.argmin(cost))
    if count - best < _MIN_LINES:
        return count + 1 if cost[best] < 0.8 * cost[0] else None
    if shifted[best:].mean() > 0.8 * together[best:].mean():
        return None
    return best + 1


def _log_lengths(lines: Iterable[str]) -> np.ndarray:
    lengths = array("i", (len(line) for line in lines))
    return np.log1p(np.frombuffer(lengths, dtype=np.int32) if lengths else np.zeros(0, np.int32)).astype(np.float32)
