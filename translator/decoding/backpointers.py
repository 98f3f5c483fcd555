"""The tokens that a beam search has chosen so far, stored as back-pointers: no hypothesis is copied while it grows.

They are kept in host memory, where a search needs each step's choice anyway to see which hypotheses are complete.

Shapes: N sentences in the batch, M of them still searched, K hypotheses per sentence.
"""

import math
from bisect import bisect_right
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Ending(NamedTuple):
    """A complete hypothesis: live hypothesis `parent` of the previous step, followed by the end token at `step`."""

    loss: float
    """The negated score, so that ascending order puts the best hypothesis first."""
    total: float
    """Its log-probability minus repetition penalties, as the search has added them up."""
    step: int
    parent: int


class BackPointers:
    """Back-pointers of the live hypotheses, and the `count` best complete hypotheses of each sentence."""

    def __init__(self, sentences: int, width: int, steps: int, count: int, repeats: bool = False) -> None:
        """`repeats` says that two live hypotheses of a sentence may be equal; complete ones are never equal."""
        self._tokens = np.zeros((steps, sentences, width), np.int32)
        self._parents = np.zeros((steps, sentences, width), np.int32)
        self._complete: list[list[Ending]] = [[] for _ in range(sentences)]
        self._count, self._repeats = count, repeats
        # The score that another complete hypothesis has to exceed.
        self.thresholds = np.full(sentences, -math.inf)  # [N]

    def extend(self, step: int, sentences: NDArray[Any], parents: NDArray[Any], tokens: NDArray[Any]) -> None:
        """Record that hypothesis k of sentence `sentences[m]` is now `parents[m, k]` followed by `tokens[m, k]`."""
        width = tokens.shape[1]
        self._tokens[step, sentences, :width] = tokens
        self._parents[step, sentences, :width] = parents

    def finish(self, sentence: int, step: int, parent: int, total: float, score: float) -> None:
        """Offer the hypothesis of `sentence` that ends at `step` after live hypothesis `parent`."""
        # Of two equal scores, the one found first wins.
        if not score > self.thresholds[sentence]:
            return
        complete = self._complete[sentence]
        if self._repeats and any(
            other.step == step and self.tokens(sentence, step, other.parent) == self.tokens(sentence, step, parent)
            for other in complete
        ):
            return
        ending = Ending(-score, total, step, parent)
        complete.insert(bisect_right(complete, ending.loss, key=attrgetter("loss")), ending)
        del complete[self._count :]
        if len(complete) == self._count:
            self.thresholds[sentence] = -complete[-1].loss

    def tokens(self, sentence: int, step: int, parent: int) -> tuple[int, ...]:
        """Return the tokens that hypothesis `parent` of `sentence` had before `step`."""
        tokens = []
        for earlier in range(step - 1, -1, -1):
            tokens.append(int(self._tokens[earlier, sentence, parent]))
            parent = self._parents[earlier, sentence, parent]
        return tuple(tokens[::-1])

    def complete(self, sentence: int) -> list[tuple[tuple[int, ...], float, float]]:
        """Return the tokens, total and score of every complete hypothesis of `sentence`, best first."""
        return [
            (self.tokens(sentence, ending.step, ending.parent), ending.total, -ending.loss)
            for ending in self._complete[sentence]
        ]
