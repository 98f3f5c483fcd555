"""Pairs with a low score that another tool gave them, such as Bicleaner, LASER or COMET."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from translator.data.filters.pair_filter import Pair
from translator.errors import DataError
from translator.runtime.counted import counted
from translator.text import Corpus


@dataclass(frozen=True)
class ScoreFilter:
    """Drops the pairs of a corpus whose score is below a limit."""

    corpus: str
    """What messages call the corpus."""
    scores: np.ndarray
    """float32 [pairs of the corpus]."""
    least: float
    reason: str = "score"

    @classmethod
    def of(cls, corpus: Corpus, least: float | None) -> "ScoreFilter | None":
        """Read the scores of a corpus, if it has some; raise `DataError` if one is not a number."""
        if corpus.scores is None or least is None:
            return None
        scores = np.fromiter(corpus.scores.numbers(), dtype=np.float32)
        return cls(corpus.name, scores, least)

    def drops(self, pairs: Sequence[Pair], indices: np.ndarray) -> np.ndarray:
        """Return which pairs are dropped, as `Filter.drops`; pairs after the last score are kept."""
        dropped = np.zeros(len(pairs), dtype=bool)
        scored = indices < len(self.scores)
        dropped[scored] = self.scores[indices[scored]] < self.least
        return dropped

    def require_scores_of(self, pairs: int) -> None:
        """Raise `DataError` unless there is a score for each of the pairs of the corpus, and no more."""
        if pairs != len(self.scores):
            raise DataError(
                f"{self.corpus} has {counted(pairs, 'pair')}, but {counted(len(self.scores), 'score')}; expected one "
                "for each"
            )
