"""Token-budget batches, packed; their order is a pure function of (seed, epoch, position).

Legend: `T` target tokens, `S` source tokens, `N` sentences.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from translator.attention import Layout, Packed
from translator.data.dataset import Gathered, ParallelDataset
from translator.data.mixture import Mixture
from translator.text import TokenizerPair

MARK = 1
"""Tokens that a side gains in a batch: the end mark of the source; the start or end mark of the target."""


class Pairs(Protocol):
    """What batches are made from."""

    def gather(self, indices: np.ndarray) -> Gathered:
        """The pieces of the pairs at `indices` (int [N])."""
        ...


@dataclass(frozen=True)
class Marks:
    """Ids of the marks that batches add to the prepared pieces."""

    source_eos: int
    target_bos: int
    target_eos: int

    @classmethod
    def of(cls, tokenizers: TokenizerPair) -> "Marks":
        """Those of the tokenizers of both sides."""
        return cls(tokenizers.source.eos_id, tokenizers.target.bos_id, tokenizers.target.eos_id)


@dataclass(frozen=True)
class Batch:
    """Sentence pairs to train on: the source ends with the end mark, the target is shifted by one."""

    indices: np.ndarray
    """Which pairs of the data set these are, int64 `[N]`."""
    source: Packed
    target: Packed
    """Start mark and target pieces: the decoder's input."""
    labels: Tensor
    """Target pieces and end mark, int64: what the decoder has to say. Filler at the end of `target` has none."""

    @property
    def target_tokens(self) -> int:
        """Target tokens, end marks included, filler not."""
        return self.labels.numel()

    def twice(self) -> "Batch":
        """Every sentence (filler too) a second time behind the first; the labels stand once."""
        return Batch(self.indices, self.source.twice(), self.target.twice(), self.labels)

    def halves(self) -> list["Batch"]:
        """The first and the second half of the sentences, without filler; a single sentence stays as it is."""
        count = len(self.indices)
        if count < 2:
            return [self]
        halves, begin = [], 0
        for rows in (slice(0, count // 2), slice(count // 2, count)):
            source, target = self.source.sentences(rows), self.target.sentences(rows)
            labels = self.labels[begin : begin + target.tokens.numel()]
            halves.append(Batch(self.indices[rows], source, target, labels))
            begin += target.tokens.numel()
        return halves

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        labels = self.labels.to(device, non_blocking=True)
        return Batch(self.indices, self.source.to(device), self.target.to(device), labels)


@dataclass(frozen=True)
class Budget:
    """The most that a batch may hold; a pair that is larger by itself makes a batch of its own."""

    target_tokens: int
    source_tokens: int | None = None
    sentences: int | None = None


def plan_epoch(
    dataset: ParallelDataset, budget: Budget, order: str, seed: int, epoch: int, mixture: Mixture | None = None
) -> list[np.ndarray]:
    """Divide an epoch into batches within the budget.

    `bucketed` batches hold pairs of like length in both languages and come in random order; `random` batches
    are random samples. Which of equally long pairs share a batch changes with the epoch. Every pair is in
    exactly one batch, or as often in the epoch as the `mixture` of several corpora says. Returns the pairs'
    indices, one int64 array a batch.
    """
    random = np.random.default_rng([seed, epoch])
    shuffled = random.permutation(len(dataset)) if mixture is None else mixture.draw(random)
    if order == "bucketed":
        lengths = dataset.target_lengths[shuffled], dataset.source_lengths[shuffled]
        shuffled = shuffled[np.lexsort((lengths[1], lengths[0]))]
    batches = list(split_by_budget(dataset, shuffled, budget))
    if order == "bucketed":
        batches = [batches[place] for place in random.permutation(len(batches))]
    return batches


def split_by_budget(dataset: ParallelDataset, indices: np.ndarray, budget: Budget) -> Iterator[np.ndarray]:
    """Cut `indices`, in order, into the longest runs that are within the budget."""
    limits = [
        (dataset.target_lengths[indices].astype(np.int64) + MARK, budget.target_tokens),
        (dataset.source_lengths[indices].astype(np.int64) + MARK, budget.source_tokens),
        (np.ones(len(indices), dtype=np.int64), budget.sentences),
    ]
    sums = [(np.cumsum(costs), limit) for costs, limit in limits if limit is not None]
    begin = 0
    while begin < len(indices):
        spent = [int(totals[begin - 1]) if begin else 0 for totals, _ in sums]
        ends = [
            int(np.searchsorted(totals, before + limit, side="right"))
            for (totals, limit), before in zip(sums, spent, strict=True)
        ]
        end = max(min(ends), begin + 1)
        yield indices[begin:end]
        begin = end


def make_batch(dataset: Pairs, indices: np.ndarray, marks: Marks, shape: "BatchShape | None" = None) -> Batch:
    """Pack the pairs at `indices`, on the CPU; with a `shape`, filler sentences at the end complete its sizes."""
    pairs = dataset.gather(indices)
    source = _with_marks(pairs.source_tokens, pairs.source_offsets, end=marks.source_eos)
    target = _with_marks(pairs.target_tokens, pairs.target_offsets, begin=marks.target_bos)
    labels = _with_marks(pairs.target_tokens, pairs.target_offsets, end=marks.target_eos)
    if shape is not None:
        source, target = shape.fill(source, target, marks)
    return Batch(indices, source, target, labels.tokens)


@dataclass(frozen=True)
class BatchShape:
    """Token counts that batches are filled up to, so that kernels meet few shapes, or only one.

    With `multiple`, both sides are rounded up to it. With the exact sizes, every batch of a plan made with the
    same budgets has the same shape, which `torch.compile` and CUDA graphs want.
    """

    multiple: int = 64
    source_tokens: int = 0
    """Exact source tokens; 0 rounds up."""
    target_tokens: int = 0
    """Exact target tokens; 0 rounds up."""
    sentences: int = 0
    """Exact sentences, filler and empty ones included; 0 adds none beyond the filler."""
    max_length: int = 0
    """Longest sentence to declare; 0 declares the longest there is."""

    @classmethod
    def fixed(cls, dataset: ParallelDataset, batch_tokens: int, max_length: int) -> "BatchShape":
        """One shape for all random batches of `batch_tokens` target tokens from `dataset`.

        Source and sentences get their share of the corpus and a little more, so that the target side is what
        fills up. `max_length` is the longest side that the data may have, in pieces.
        """
        sentences = len(dataset)
        target = int(dataset.target_lengths.sum()) + sentences * MARK
        source = int(dataset.source_lengths.sum()) + sentences * MARK
        target_tokens = max(batch_tokens, max_length + MARK)
        share = target_tokens / target
        return cls(
            source_tokens=max(_round_up(1.03 * share * source), max_length + MARK) + cls.multiple,
            target_tokens=target_tokens,
            sentences=_round_up(1.2 * share * sentences),
            max_length=max_length + MARK,
        )

    @property
    def budget(self) -> Budget:
        """What a batch may hold to be filled up to this exact shape, with room for the filler sentences."""
        longest = self.max_length
        filler = max(self.source_tokens, self.target_tokens) // longest + 1
        # Some source is left over for every filler sentence: attention over nothing is not a number.
        return Budget(self.target_tokens, self.source_tokens - self.multiple, max(self.sentences - filler, 1))

    def fill(self, source: Packed, target: Packed, marks: Marks) -> tuple[Packed, Packed]:
        """Append filler sentences, no longer than the declared length, each with a source to attend to."""
        need_source = self._missing(source.tokens.numel(), self.source_tokens)
        need_target = self._missing(target.tokens.numel(), self.target_tokens)
        longest_source = self.max_length or source.layout.max_length
        longest_target = self.max_length or target.layout.max_length
        count = max(-(-need_source // longest_source), -(-need_target // longest_target))
        if need_target and need_source < count and not self.source_tokens:
            need_source += self.multiple
            count = max(count, -(-need_source // longest_source))
        real = source.layout.num_sentences
        total = max(self.sentences, real + count)
        return (
            self._extend(source, need_source, count, total, marks.source_eos),
            self._extend(target, need_target, count, total, marks.target_bos),
        )

    def _missing(self, tokens: int, exact: int) -> int:
        return max(exact - tokens, 0) if exact else -tokens % self.multiple

    def _extend(self, side: Packed, missing: int, count: int, total: int, mark: int) -> Packed:
        tokens = torch.cat([side.tokens, torch.full((missing,), mark, dtype=torch.int64)])
        ends = missing * torch.arange(1, count + 1) // max(count, 1) + side.tokens.numel()
        empty = torch.full((total - side.layout.num_sentences - count,), tokens.numel())
        offsets = torch.cat([side.layout.offsets, ends.int(), empty.int()])
        return Packed(tokens, Layout(offsets, self.max_length or side.layout.max_length))


def _round_up(size: float, multiple: int = 64) -> int:
    return -int(-size // multiple) * multiple


def _with_marks(tokens: np.ndarray, offsets: np.ndarray, begin: int | None = None, end: int | None = None) -> Packed:
    """Put one mark before or behind every sentence."""
    sentences = len(offsets) - 1
    mark = begin if begin is not None else end
    assert mark is not None
    marked_offsets = offsets + np.arange(sentences + 1)
    marked = np.empty(len(tokens) + sentences, dtype=np.int64)
    is_mark = np.zeros(len(marked), dtype=bool)
    is_mark[marked_offsets[:-1] if begin is not None else marked_offsets[1:] - 1] = True
    marked[is_mark] = mark
    marked[~is_mark] = tokens
    longest = int(np.diff(marked_offsets).max(initial=0))
    return Packed(torch.from_numpy(marked), Layout(torch.from_numpy(marked_offsets.astype(np.int32)), longest))
