"""Batches of sentence pairs, packed without padding.

Legend: `T` target tokens, `S` source tokens, `N` sentences.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from translator.attention import Layout, Packed
from translator.data.batch_plan import ADDED_TOKENS, SECTION_PAIRS, Budget
from translator.data.dataset import Gathered, ParallelDataset
from translator.data.links import Links
from translator.data.mixture import Mixture
from translator.text import TokenizerPair


class Pairs(Protocol):
    """A source of sentence pairs for batches."""

    def gather(self, indices: np.ndarray) -> Gathered:
        """Return the pieces of the pairs at `indices` (int [N])."""
        ...


class LinkedPairs(Protocol):
    """A source of sentence pairs with word links."""

    def gather_linked(self, indices: np.ndarray) -> tuple[Gathered, np.ndarray]:
        """Return the pieces of the pairs at `indices` (int [N]), and their links as `ParallelDataset.links`."""
        ...


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of the special tokens that a batch adds to the prepared pieces."""

    source_eos: int
    target_bos: int
    target_eos: int

    @classmethod
    def of(cls, tokenizers: TokenizerPair) -> "SpecialTokens":
        """Take the ids from the tokenizers of both sides."""
        return cls(tokenizers.source.eos_id, tokenizers.target.bos_id, tokenizers.target.eos_id)


@dataclass(frozen=True)
class Batch:
    """Sentence pairs to train on: every source ends with EOS, every target is shifted by one token."""

    indices: np.ndarray
    """Which pairs of the data set these are, int64 `[N]`."""
    source: Packed
    target: Packed
    """BOS and the target pieces: the decoder's input."""
    labels: Tensor
    """Target pieces and EOS, int64 `[T]`: what the decoder learns to predict. The filler at the end of `target` has
    no labels."""
    links: Links | None = None
    """Word links, if the model learns them."""

    @property
    def target_tokens(self) -> int:
        """Target tokens, with EOS and without filler."""
        return self.labels.numel()

    def twice(self) -> "Batch":
        """Return a batch with all sentences, filler too, followed by all of them again; the labels are not repeated."""
        links = self.links.twice(self.target.layout.num_sentences) if self.links is not None else None
        return Batch(self.indices, self.source.twice(), self.target.twice(), self.labels, links)

    def halves(self) -> list["Batch"]:
        """Split the sentences into two halves, without filler; a batch of one sentence stays as it is."""
        count = len(self.indices)
        if count < 2:
            return [self]
        halves, begin = [], 0
        for rows in (slice(0, count // 2), slice(count // 2, count)):
            source, target = self.source.sentences(rows), self.target.sentences(rows)
            labels = self.labels[begin : begin + target.tokens.numel()]
            links = self.links.of_sentences(rows) if self.links is not None else None
            halves.append(Batch(self.indices[rows], source, target, labels, links))
            begin += target.tokens.numel()
        return halves

    def pin_memory(self) -> "Batch":
        """Copy the batch to pinned host memory, from which `to` a CUDA device does not wait."""
        links = self.links.pin_memory() if self.links is not None else None
        return Batch(self.indices, self.source.pin_memory(), self.target.pin_memory(), self.labels.pin_memory(), links)

    def to(self, device: torch.device) -> "Batch":
        """Copy the batch to a device."""
        labels = self.labels.to(device, non_blocking=True)
        links = self.links.to(device) if self.links is not None else None
        return Batch(self.indices, self.source.to(device), self.target.to(device), labels, links)


def make_batch(dataset: Pairs, indices: np.ndarray, special: SpecialTokens, shape: "BatchShape | None" = None) -> Batch:
    """Pack the pairs at `indices`, on the CPU; with a `shape`, filler sentences at the end complete its sizes."""
    return _pack(dataset.gather(indices), indices, special, shape)


def make_linked_batch(
    dataset: LinkedPairs, indices: np.ndarray, special: SpecialTokens, shape: "BatchShape | None" = None
) -> Batch:
    """Do what `make_batch` does, with the word links of the pairs."""
    pairs, links = dataset.gather_linked(indices)
    return replace(_pack(pairs, indices, special, shape), links=Links.of(links, pairs.source_offsets))


def _pack(pairs: Gathered, indices: np.ndarray, special: SpecialTokens, shape: "BatchShape | None") -> Batch:
    source = _with_special_tokens(pairs.source_tokens, pairs.source_offsets, end=special.source_eos)
    target = _with_special_tokens(pairs.target_tokens, pairs.target_offsets, begin=special.target_bos)
    labels = _with_special_tokens(pairs.target_tokens, pairs.target_offsets, end=special.target_eos)
    if shape is not None:
        source, target = shape.fill(source, target, special)
    return Batch(indices, source, target, labels.tokens)


@dataclass(frozen=True)
class BatchShape:
    """Token counts that batches are filled up to, so that kernels see few shapes, or only one.

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
    """Longest sentence to declare; 0 declares the longest in the batch."""

    @classmethod
    def fixed(
        cls, dataset: ParallelDataset, batch_tokens: int, max_length: int, mixture: Mixture | None = None
    ) -> "BatchShape":
        """One shape for all random batches of `batch_tokens` target tokens from `dataset`.

        The target side is what fills up. The source side gets its share of the corpus and one standard deviation of
        what batches differ by: more would be filler in nearly all of them, less would end many before the target side
        is full. Sentences get half as many again, since an empty one costs nothing. `max_length` is the longest side
        that the data may have, in pieces. With a `mixture` of several corpora, the averages are those of its epochs.
        """
        longest = max_length + ADDED_TOKENS
        # Of more pairs than this, as many evenly over the data say as much.
        sample = np.arange(0, len(dataset), -(-len(dataset) // SECTION_PAIRS) or 1)
        target = dataset.target_lengths[sample].astype(np.int64) + ADDED_TOKENS
        source = dataset.source_lengths[sample].astype(np.int64) + ADDED_TOKENS
        target_tokens = max(batch_tokens, longest)
        often = np.ones(len(sample)) if mixture is None else mixture.passes_of(sample)
        sentences = target_tokens / float(np.average(target, weights=often))
        ratio = float(np.average(source, weights=often) / np.average(target, weights=often))
        variance = float(np.average((source - ratio * target) ** 2, weights=often))  # the mean difference is 0
        usual = _round_up(ratio * target_tokens + (variance * sentences) ** 0.5)
        # A pair by itself must fit too, and a source token for every filler sentence.
        source_tokens = max(usual, longest + -(-target_tokens // longest)) + cls.multiple
        return cls(
            source_tokens=source_tokens,
            target_tokens=target_tokens,
            sentences=_round_up(1.5 * sentences) + _most_filler(source_tokens, target_tokens, longest),
            max_length=longest,
        )

    @property
    def budget(self) -> Budget:
        """What a batch may hold to be filled up to this exact shape, with room for the filler sentences."""
        filler = _most_filler(self.source_tokens, self.target_tokens, self.max_length)
        # Some source is left over for every filler sentence: attention over nothing is not a number.
        return Budget(
            self.target_tokens, self.source_tokens - self.multiple, max(self.sentences - filler, 1), self.max_length
        )

    def fill(self, source: Packed, target: Packed, special: SpecialTokens) -> tuple[Packed, Packed]:
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
            self._extend(source, need_source, count, total, special.source_eos),
            self._extend(target, need_target, count, total, special.target_bos),
        )

    def _missing(self, tokens: int, exact: int) -> int:
        return max(exact - tokens, 0) if exact else -tokens % self.multiple

    def _extend(self, side: Packed, missing: int, count: int, total: int, special: int) -> Packed:
        tokens = torch.cat([side.tokens, torch.full((missing,), special, dtype=torch.int64)])
        ends = missing * torch.arange(1, count + 1) // max(count, 1) + side.tokens.numel()
        empty = torch.full((total - side.layout.num_sentences - count,), tokens.numel())
        offsets = torch.cat([side.layout.offsets, ends.int(), empty.int()])
        return Packed(tokens, Layout(offsets, self.max_length or side.layout.max_length))


def _most_filler(source_tokens: int, target_tokens: int, longest: int) -> int:
    """The number of filler sentences in a batch that is nearly empty, such as the last one of an epoch."""
    return max(source_tokens, target_tokens) // longest + 1


def _round_up(size: float, multiple: int = 64) -> int:
    return -int(-size // multiple) * multiple


def _with_special_tokens(
    tokens: np.ndarray, offsets: np.ndarray, begin: int | None = None, end: int | None = None
) -> Packed:
    """Put one special token before or after every sentence."""
    sentences = len(offsets) - 1
    special = begin if begin is not None else end
    assert special is not None
    new_offsets = offsets + np.arange(sentences + 1)
    new_tokens = np.empty(len(tokens) + sentences, dtype=np.int64)
    is_special = np.zeros(len(new_tokens), dtype=bool)
    is_special[new_offsets[:-1] if begin is not None else new_offsets[1:] - 1] = True
    new_tokens[is_special] = special
    new_tokens[~is_special] = tokens
    longest = int(np.diff(new_offsets).max(initial=0))
    return Packed(torch.from_numpy(new_tokens), Layout(torch.from_numpy(new_offsets.astype(np.int32)), longest))
