"""Token-budget batches, packed; their order is a pure function of (seed, epoch, position).

Legend: `T` target tokens, `S` source tokens, `N` sentences.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from translator.attention import Layout, Packed
from translator.data.dataset import ParallelDataset

MARK = 1
"""Tokens that a side gains in a batch: the end mark of the source; the start or end mark of the target."""


@dataclass(frozen=True)
class Marks:
    """Ids of the marks that batches add to the prepared pieces."""

    source_eos: int
    target_bos: int
    target_eos: int


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

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        labels = self.labels.to(device, non_blocking=True)
        return Batch(self.indices, self.source.to(device), self.target.to(device), labels)


def plan_epoch(
    dataset: ParallelDataset, batch_tokens: int, order: str, seed: int, epoch: int
) -> list[np.ndarray]:
    """Divide an epoch into batches of at most `batch_tokens` target tokens (one pair at the least).

    `bucketed` batches hold pairs of like length in both languages and come in random order; `random` batches
    are random samples. Which of equally long pairs share a batch changes with the epoch. Every pair is in
    exactly one batch. Returns the pairs' indices, one int64 array a batch.
    """
    random = np.random.default_rng([seed, epoch])
    shuffled = random.permutation(len(dataset))
    costs = dataset.target_lengths.astype(np.int64) + MARK
    if order == "bucketed":
        lengths = dataset.target_lengths[shuffled], dataset.source_lengths[shuffled]
        shuffled = shuffled[np.lexsort((lengths[1], lengths[0]))]
    batches = list(split_by_cost(shuffled, costs[shuffled], batch_tokens))
    if order == "bucketed":
        batches = [batches[place] for place in random.permutation(len(batches))]
    return batches


def split_by_cost(items: np.ndarray, costs: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Cut `items`, in order, into the longest runs whose costs sum to at most `budget` (or single items)."""
    ends = np.cumsum(costs)
    begin, spent = 0, 0
    while begin < len(items):
        end = max(int(np.searchsorted(ends, spent + budget, side="right")), begin + 1)
        yield items[begin:end]
        begin, spent = end, int(ends[end - 1])


def make_batch(
    dataset: ParallelDataset, indices: np.ndarray, marks: Marks, shape: "BatchShape | None" = None
) -> Batch:
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

    def fill(self, source: Packed, target: Packed, marks: Marks) -> tuple[Packed, Packed]:
        """Append filler sentences, no longer than the longest real one, each with a source to attend to."""
        need_source = self._missing(source.tokens.numel(), self.source_tokens)
        need_target = self._missing(target.tokens.numel(), self.target_tokens)
        longest_source, longest_target = source.layout.max_length, target.layout.max_length
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


def _with_marks(
    tokens: np.ndarray, offsets: np.ndarray, begin: int | None = None, end: int | None = None
) -> Packed:
    """Put one mark before or behind every sentence."""
    sentences = len(offsets) - 1
    marked_offsets = offsets + np.arange(sentences + 1)
    marked = np.empty(len(tokens) + sentences, dtype=np.int64)
    is_mark = np.zeros(len(marked), dtype=bool)
    is_mark[marked_offsets[:-1] if begin is not None else marked_offsets[1:] - 1] = True
    marked[is_mark] = begin if begin is not None else end
    marked[~is_mark] = tokens
    longest = int(np.diff(marked_offsets).max(initial=0))
    return Packed(
        torch.from_numpy(marked), Layout(torch.from_numpy(marked_offsets.astype(np.int32)), longest)
    )
