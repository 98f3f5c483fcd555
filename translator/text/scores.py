"""Scores of the pairs of a corpus, which another tool gave them: a file of numbers, or a column of a table."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from translator.errors import DataError


@dataclass(frozen=True)
class Scores:
    """A number for every pair of a corpus, in the order of the pairs."""

    name: str
    """What messages call them."""
    read: Callable[[], Iterator[str]]
    """Start reading the numbers, as they are written, at the first pair."""
    fingerprint: Callable[[], str]
    """Return what identifies the content."""

    def numbers(self) -> Iterator[float]:
        """Yield the scores; raise `DataError`, with the number of the pair, if one is not a finite number."""
        for pair, text in enumerate(self.read(), start=1):
            try:
                number = float(text)
            except ValueError:
                number = math.nan
            if not math.isfinite(number):
                raise DataError(f"{self.name}, pair {pair:,}: found {text.strip()[:40]!r}, expected a number")
            yield number
