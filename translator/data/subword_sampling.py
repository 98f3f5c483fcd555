"""Subword regularisation: training text is segmented again, at random, every time that it is read.

BPE-dropout (Provilkov et al. 2020) leaves out merges at random; pieces of a unigram model are sampled (Kudo 2018).
"""

import sys
from dataclasses import dataclass

import numpy as np

from translator.data.batch_plan import ADDED_TOKENS, Budget
from translator.data.dataset import Gathered, ParallelDataset
from translator.errors import DataError
from translator.text import Tokenizer, TokenizerPair

_PAIRS_TO_MEASURE = 2000


@dataclass(frozen=True)
class SampledPairs:
    """A data set whose segmentations are sampled; the pieces are a pure function of text and `seed`."""

    sampler: "SubwordSampler"
    seed: int

    def gather(self, indices: np.ndarray) -> Gathered:
        """Segment the pairs at `indices` (int [N])."""
        return self.sampler.gather(indices, self.seed)


class SubwordSampler:
    """Samples segmentations of the pairs of a data set that keeps its text."""

    def __init__(
        self, dataset: ParallelDataset, tokenizers: TokenizerPair, strength: float, max_length: int,
        budget: Budget | None = None,
    ) -> None:  # fmt: skip
        """`max_length` is the longest side in pieces: a sentence that would be longer keeps its usual pieces. So do the
        last sentences of a batch that would be larger than `budget`."""
        if not dataset.has_text:
            raise DataError(f"{dataset.path} holds no text to sample pieces from; prepare the data again")
        self.dataset, self.tokenizers = dataset, tokenizers
        self.strength, self.max_length = strength, max_length
        self.budget = budget or Budget(sys.maxsize, sys.maxsize)

    def seeded(self, seed: int) -> SampledPairs:
        """The data set as one draw of segmentations."""
        return SampledPairs(self, seed)

    def growth(self) -> tuple[float, float]:
        """Measure how many times longer sampled sources and targets are than their usual pieces, on average."""
        count = min(len(self.dataset), _PAIRS_TO_MEASURE)
        indices = np.linspace(0, len(self.dataset) - 1, count).astype(np.int64)
        usual, sampled = self.dataset.gather(indices), self.gather(indices, seed=0)
        # EOS is not sampled.
        source = (len(sampled.source_tokens) + count) / (len(usual.source_tokens) + count)
        target = (len(sampled.target_tokens) + count) / (len(usual.target_tokens) + count)
        return source, target

    def gather(self, indices: np.ndarray, seed: int) -> Gathered:
        """Segment the pairs at `indices` (int [N]); the same seed gives the same pieces."""
        usual = self.dataset.gather(indices)
        sources, targets = self.dataset.texts(indices)
        tokenizers, limit = self.tokenizers, self.budget
        source = self._side(tokenizers.source, sources, usual[:2], 2 * seed, limit.source_tokens)
        target = self._side(tokenizers.target, targets, usual[2:], 2 * seed + 1, limit.target_tokens)
        return Gathered(*source, *target)

    def _side(
        self, tokenizer: Tokenizer, texts: list[str], usual_side: tuple[np.ndarray, ...], seed: int, limit: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        tokens, offsets = usual_side
        tags = set(tokenizer.tags.values())
        rows = []
        for index, sampled in enumerate(tokenizer.sample(texts, self.strength, seed)):
            usual = tokens[offsets[index] : offsets[index + 1]]
            tag = usual[:1].tolist() if len(usual) and int(usual[0]) in tags else []
            row = np.array(tag + sampled, dtype=np.int32)
            rows.append(row if len(row) <= max(self.max_length, len(usual)) else usual)
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        excess = int(lengths.sum()) + len(rows) * ADDED_TOKENS - (limit or sys.maxsize)
        for index in range(len(rows) - 1, -1, -1):
            if excess <= 0:
                break
            usual = tokens[offsets[index] : offsets[index + 1]]
            excess -= len(rows[index]) - len(usual)
            rows[index], lengths[index] = usual, len(usual)
        return np.concatenate([*rows, tokens[:0]]), np.concatenate([[0], np.cumsum(lengths)])
