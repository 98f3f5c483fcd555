"""What a beam search has chosen so far, as back-pointers, so that no hypothesis is copied while it grows.

It lives in the host's memory: a search brings each step's choice there in any case, to see what is over.
Shapes: N sentences of the batch, M of them still searched, K hypotheses of each, L steps.
"""

import math
from bisect import bisect_right
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Ending(NamedTuple):
    """A complete hypothesis: live hypothesis `parent` of the step before, and the end mark at `step`."""

    loss: float
    """Minus its score, so that the best come first."""
    total: float
    """What the search added up for it."""
    step: int
    parent: int


class BackPointers:
    """Back-pointers of the live hypotheses and the `count` best complete ones of each sentence."""

    def __init__(self, sentences: int, width: int, steps: int, count: int, repeats: bool = False) -> None:
        """`repeats` says that live hypotheses of a sentence may be the same; complete ones never are."""
        self._tokens = np.zeros((steps, sentences, width), np.int32)
        self._parents = np.zeros((steps, sentences, width), np.int32)
        self._complete: list[list[Ending]] = [[] for _ in range(sentences)]
        self._count, self._repeats = count, repeats
        # What a further hypothesis has to exceed.
        self.thresholds = np.full(sentences, -math.inf)  # [N]

    def extend(self, step: int, rows: NDArray[Any], parents: NDArray[Any], tokens: NDArray[Any]) -> None:
        """Record that at `step` hypothesis k of sentence `rows[m]` is `parents[m, k]` plus `tokens[m, k]`."""
        width = tokens.shape[1]
        self._tokens[step, rows, :width] = tokens
        self._parents[step, rows, :width] = parents

    def finish(self, row: int, step: int, parent: int, total: float, score: float) -> None:
        """Offer the hypothesis of sentence `row` that ends at `step` after live hypothesis `parent`."""
        # Of two equal scores the one found first stays.
        if not score > self.thresholds[row]:
            return
        complete = self._complete[row]
        if self._repeats and any(
            other.step == step and self.tokens(row, step, other.parent) == self.tokens(row, step, parent)
            for other in complete
        ):
            return
        ending = Ending(-score, total, step, parent)
        complete.insert(bisect_right(complete, ending.loss, key=attrgetter("loss")), ending)
        del complete[self._count :]
        if len(complete) == self._count:
            self.thresholds[row] = -complete[-1].loss

    def tokens(self, row: int, step: int, parent: int) -> tuple[int, ...]:
        """The pieces, before `step`, of the hypothesis of sentence `row` that was `parent` then."""
        pieces = []
        for earlier in range(step - 1, -1, -1):
            pieces.append(int(self._tokens[earlier, row, parent]))
            parent = self._parents[earlier, row, parent]
        return tuple(pieces[::-1])

    def complete(self, row: int) -> list[tuple[tuple[int, ...], float, float]]:
        """The complete hypotheses of sentence `row`, best first: pieces, total, score."""
        return [
            (self.tokens(row, ending.step, ending.parent), ending.total, -ending.loss) for ending in self._complete[row]
        ]
