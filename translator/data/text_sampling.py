"""Training text that is altered and segmented again, at random, every time that it is read.

Alterations are those of `augmentation.py`. Of segmentations, BPE-dropout (Provilkov et al. 2020) leaves out merges at
random; pieces of a unigram model are sampled (Kudo 2018).
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from translator.data.augmentation import Augmenter
from translator.data.batch_plan import ADDED_TOKENS, Budget
from translator.data.dataset import Gathered, ParallelDataset
from translator.data.piece_links import PieceSizes, carry_over
from translator.errors import DataError
from translator.text import Tokenizer, TokenizerPair

_PAIRS_TO_MEASURE = 2000
_UNBOUNDED = Budget(sys.maxsize, sys.maxsize)


@dataclass(frozen=True)
class SampledPairs:
    """A data set whose texts and segmentations are sampled; the pieces are a pure function of text and `seed`."""

    sampler: "TextSampler"
    seed: int

    def gather(self, indices: np.ndarray) -> Gathered:
        """Segment the pairs at `indices` (int [N])."""
        return self.sampler.gather(indices, self.seed)

    def gather_linked(self, indices: np.ndarray) -> tuple[Gathered, np.ndarray]:
        """Segment the pairs at `indices` (int [N]), and return their links too."""
        return self.sampler.gather_linked(indices, self.seed)


class TextSampler:
    """Samples alterations and segmentations of the pairs of a data set that keeps its text."""

    def __init__(
        self, dataset: ParallelDataset, tokenizers: TokenizerPair, strength: float, max_length: int,
        budget: Budget | None = None, augmenter: Augmenter | None = None,
    ) -> None:  # fmt: skip
        """`strength` is that of `Tokenizer.sample`; 0 segments as usual.

        `max_length` is the longest side in pieces: a sentence that would be longer keeps its usual pieces. So do the
        last sentences of a batch that would be larger than `budget`. A pair that was altered keeps them on both sides.
        """
        if not dataset.has_text:
            raise DataError(f"{dataset.path} holds no text to sample pieces from; prepare the data again")
        self.dataset, self.tokenizers = dataset, tokenizers
        self.strength, self.max_length, self.augmenter = strength, max_length, augmenter
        self.budget = budget or _UNBOUNDED

    def seeded(self, seed: int) -> SampledPairs:
        """The data set as one draw of alterations and segmentations."""
        return SampledPairs(self, seed)

    def growth(self) -> tuple[float, float]:
        """Measure how many times longer sampled sources and targets are than their usual pieces, on average."""
        count = min(len(self.dataset), _PAIRS_TO_MEASURE)
        indices = np.linspace(0, len(self.dataset) - 1, count).astype(np.int64)
        # Without the budget of one batch, which so many pairs are far above.
        usual, sampled = self.dataset.gather(indices), _packed(self._draw(indices, 0, _UNBOUNDED)[0])
        # EOS is not sampled.
        source = (len(sampled.source_tokens) + count) / (len(usual.source_tokens) + count)
        target = (len(sampled.target_tokens) + count) / (len(usual.target_tokens) + count)
        return source, target

    def gather(self, indices: np.ndarray, seed: int) -> Gathered:
        """Alter and segment the pairs at `indices` (int [N]); the same seed gives the same pieces."""
        sides, _ = self._draw(indices, seed, self.budget)
        return _packed(sides)

    def gather_linked(self, indices: np.ndarray, seed: int) -> tuple[Gathered, np.ndarray]:
        """Return what `gather` does, and the links between these pieces as `ParallelDataset.links`.

        A pair that was altered has no links: its words are no longer those that were aligned.
        """
        sides, changed = self._draw(indices, seed, self.budget)
        return _packed(sides), self._links(indices, sides, changed)

    def _draw(self, indices: np.ndarray, seed: int, budget: Budget) -> tuple[list["_Side"], list[bool]]:
        """Return both sides of the pairs, and which pairs were altered."""
        usual = self.dataset.gather(indices)
        texts = self.dataset.texts(indices)
        changed = [False] * len(indices)
        if self.augmenter is not None:
            first = usual.source_tokens[np.minimum(usual.source_offsets[:-1], len(usual.source_tokens) - 1)].tolist()
            tags = set(self.tokenizers.source.tags.values())
            groups = [piece if piece in tags else -1 for piece in first]
            plain, texts = texts, self.augmenter.alter(*texts, seed, groups)
            changed = [
                source != plain[0][row] or target != plain[1][row]
                for row, (source, target) in enumerate(zip(*texts, strict=True))
            ]
        sides = []
        tokenizers, limits = self.tokenizers, (budget.source_tokens, budget.target_tokens)
        for number, tokenizer in enumerate((tokenizers.source, tokenizers.target)):
            tokens, offsets = usual[2 * number : 2 * number + 2]
            kept = np.split(tokens, offsets[1:-1])
            sides.append(_Side(kept, self._segment(tokenizer, texts[number], kept, 2 * seed + number), limits[number]))
        for side in sides:
            for row in side.too_long(self.max_length):
                _keep(sides if changed[row] else [side], row)
        for side in sides:
            for row in range(len(indices) - 1, -1, -1):
                if side.excess() <= 0:
                    break
                _keep(sides if changed[row] else [side], row)
        return sides, changed

    @cached_property
    def _sizes(self) -> list[PieceSizes]:
        return [PieceSizes(side) for side in (self.tokenizers.source, self.tokenizers.target)]

    def _links(self, indices: np.ndarray, sides: Sequence["_Side"], changed: Sequence[bool]) -> np.ndarray:
        links = self.dataset.links(indices)
        parts = [np.zeros((0, 3), dtype=np.int64)]
        for row, own in enumerate(np.split(links[:, 1:], np.searchsorted(links[:, 0], np.arange(1, len(indices))))):
            if all(side.is_usual(row) for side in sides):
                carried = own
            elif changed[row] or not len(own):
                continue
            else:
                overlaps = [
                    sizes.overlaps(side.usual[row], side.rows[row])
                    for sizes, side in zip(self._sizes, sides, strict=True)
                ]
                if overlaps[0] is None or overlaps[1] is None:
                    continue
                carried = carry_over(own, overlaps[0], overlaps[1])
            parts.append(np.column_stack([np.full(len(carried), row), carried]))
        return np.concatenate(parts)

    def _segment(
        self, tokenizer: Tokenizer, texts: Sequence[str], usual: Sequence[np.ndarray], seed: int
    ) -> list[np.ndarray]:
        """Segment texts, and put before each the language tag that its usual pieces begin with, if any."""
        tags = set(tokenizer.tags.values())
        sampled = tokenizer.sample(texts, self.strength, seed) if self.strength else tokenizer.encode(texts)
        return [
            np.array(row[:1].tolist() + ids if len(row) and int(row[0]) in tags else ids, dtype=np.int32)
            for row, ids in zip(usual, sampled, strict=True)
        ]


@dataclass
class _Side:
    """The pieces of one side of a batch, sentence by sentence."""

    usual: list[np.ndarray]
    rows: list[np.ndarray]
    limit: int | None
    """Tokens that the batch may have on this side."""

    def __post_init__(self) -> None:
        self.total = sum(map(len, self.rows)) + len(self.rows) * ADDED_TOKENS

    def is_usual(self, row: int) -> bool:
        """Return whether a row has its usual pieces."""
        return np.array_equal(self.usual[row], self.rows[row])

    def too_long(self, longest: int) -> list[int]:
        """Return the rows that are longer than `longest` and than their usual pieces."""
        return [row for row, ids in enumerate(self.rows) if len(ids) > max(longest, len(self.usual[row]))]

    def excess(self) -> int:
        """Return how many tokens there are above the limit."""
        return self.total - (self.limit or sys.maxsize)

    def packed(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the pieces of all rows, and the offsets where rows begin."""
        return np.concatenate([*self.rows, np.empty(0, np.int32)]), np.cumsum([0, *map(len, self.rows)])


def _packed(sides: Sequence[_Side]) -> Gathered:
    return Gathered(*sides[0].packed(), *sides[1].packed())


def _keep(sides: Sequence[_Side], row: int) -> None:
    """Give a row its usual pieces."""
    for side in sides:
        side.total += len(side.usual[row]) - len(side.rows[row])
        side.rows[row] = side.usual[row]
