"""How several corpora share an epoch: by weights, or by sizes that a temperature evens out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Mixture:
    """Corpora that follow each other in a data set, and the share of each in an epoch.

    An epoch has as many pairs as all corpora together. A corpus with a small share is sampled again in every epoch;
    one whose share is larger than its size is passed through several times.
    """

    sizes: tuple[int, ...]
    """Pairs of every corpus, at least 1."""
    shares: tuple[float, ...]
    """Shares of an epoch; they add up to 1."""

    @classmethod
    def of(cls, sizes: Sequence[int], weights: Sequence[float] | None = None, temperature: float = 1.0) -> "Mixture":
        """Make shares proportional to the weights or, without weights, to size ** (1 / temperature)."""
        parts = np.asarray(sizes, dtype=np.float64) ** (1.0 / temperature) if weights is None else np.asarray(weights)
        return cls(tuple(sizes), tuple((parts / parts.sum()).tolist()))

    @property
    def counts(self) -> list[int]:
        """Pairs of every corpus in an epoch: the shares of all pairs, rounded so that none is lost."""
        return apportion(sum(self.sizes), self.shares)

    @property
    def passes(self) -> np.ndarray:
        """How often each pair comes in an epoch, on average, float64 `[sum(sizes)]`."""
        return self.passes_of(np.arange(sum(self.sizes)))

    def passes_of(self, indices: np.ndarray) -> np.ndarray:
        """Return how often the pairs at `indices` (int `[N]`) come in an epoch, on average, float64 `[N]`."""
        corpora = np.searchsorted(np.cumsum(self.sizes), indices, side="right")
        return np.divide(self.counts, self.sizes)[corpora]

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """Draw the pairs of an epoch, shuffled, int64 `[sum(sizes)]`: whole passes and a random rest without repeats.

        Where every corpus has exactly one pass, this is `random.permutation(sum(sizes))`.
        """
        parts = []
        start = 0
        for size, count in zip(self.sizes, self.counts, strict=True):
            passes, rest = divmod(count, size)
            parts += [np.arange(start, start + size, dtype=np.int64)] * passes
            if rest:
                parts.append(start + random.permutation(size)[:rest])
            start += size
        chosen = np.concatenate(parts)
        return chosen[random.permutation(len(chosen))]


def apportion(total: int, shares: Sequence[float]) -> list[int]:
    """Divide `total` into integers proportional to `shares`; what rounding leaves goes to the largest remainders."""
    parts = np.asarray(shares, dtype=np.float64)
    exact = total * parts / parts.sum()
    counts = np.floor(exact).astype(np.int64)
    by_rest = np.argsort(counts - exact, kind="stable")
    counts[by_rest[: total - int(counts.sum())]] += 1
    return [int(count) for count in counts]
