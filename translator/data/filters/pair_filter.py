"""What a filter is: a reason, and which pairs of a block it drops for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

Pair = tuple[str, str]


class Filter(Protocol):
    """Drops pairs of one corpus.

    Whether it drops a pair never depends on other pairs, so that blocks may be judged in any process.
    """

    @property
    def reason(self) -> str:
        """Return the key of `translator.data.cleaning.REASONS` under which its pairs are counted."""

    def drops(self, pairs: Sequence[Pair], indices: np.ndarray) -> np.ndarray:
        """Return which pairs are dropped (bool [N]).

        `pairs` are N pairs without surrounding white space, neither side blank, and `indices` where they are in their
        corpus (int64 [N], from 0).
        """


@dataclass(frozen=True)
class PairFilter:
    """A filter that judges each pair by its text alone."""

    reason: str
    is_bad: Callable[[str, str], bool]
    """Called with source and target."""

    def drops(self, pairs: Sequence[Pair], indices: np.ndarray) -> np.ndarray:
        """Return which pairs are dropped, as `Filter.drops`."""
        return np.fromiter((self.is_bad(source, target) for source, target in pairs), dtype=bool, count=len(pairs))
