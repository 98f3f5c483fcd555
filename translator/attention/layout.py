"""The packed batch: one flat run of tokens and the offsets where sentences begin.

Legend (docs/shapes.md): `T` tokens, `N` sentences, `L` longest sentence.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from translator.attention.grid import Grid


class Layout:
    """Where the sentences of a packed batch begin and end.

    `offsets` is int32 `[N + 1]` and rises from 0 to T; `max_length` is L, known on the host so that no kernel has to
    ask the device for it. Empty sentences are allowed. What the padded kernel derives from the offsets is computed once
    for a batch, on first use.
    """

    def __init__(self, offsets: Tensor, max_length: int) -> None:
        self.offsets = offsets
        self.max_length = max_length
        self.block_masks: dict[tuple[bool, bool], Any] = {}
        """What FlexAttention derives from the offsets, kept for the other layers: by causality, and whether keys are
        those of the same sentences."""

    @property
    def num_sentences(self) -> int:
        """N."""
        return self.offsets.numel() - 1

    @cached_property
    def lengths(self) -> Tensor:
        """Tokens of each sentence, int64 `[N]`."""
        return self.offsets.diff().long()

    @cached_property
    def mask(self) -> Tensor:
        """True where a cell of the padded grid holds a token, bool `[N, L]`."""
        columns = torch.arange(self.max_length, device=self.offsets.device)
        return columns < self.lengths[:, None]

    @cached_property
    def cells(self) -> Tensor:
        """For each token, the index of its cell in the padded grid, row by row: int64 `[T]`."""
        return self.mask.flatten().nonzero().squeeze(1)

    @cached_property
    def pads(self) -> Tensor:
        """The indices of the cells of the padded grid that hold no token, int64."""
        return self.mask.logical_not().flatten().nonzero().squeeze(1)

    @cached_property
    def rows(self) -> Tensor:
        """For each cell of the padded grid, the index of its token, int64 `[N * L]`; a pad has another token's."""
        starts = self.offsets[:-1].long()
        columns = torch.arange(self.max_length, device=self.offsets.device)
        last = (self.offsets[-1].long() - 1).clamp(min=0)
        return torch.minimum(starts[:, None] + columns, last).flatten()

    @cached_property
    def grid(self) -> Grid:
        """The padded grid as the CPU has it, of a layout that is there."""
        return Grid(self.lengths, self.max_length)

    def positions(self, num_tokens: int) -> Tensor:
        """The position of each of the T = `num_tokens` tokens in its sentence, int64 `[T]`.

        It neither waits for the device nor makes a shape that depends on the data, so that it compiles.
        """
        tokens = torch.arange(num_tokens, device=self.offsets.device)
        sentences = torch.searchsorted(self.offsets[1:], tokens, right=True)
        return tokens - self.offsets[sentences]

    def pin_memory(self) -> "Layout":
        """The same layout in pinned host memory."""
        return Layout(self.offsets.pin_memory(), self.max_length)

    def to(self, device: torch.device) -> "Layout":
        """The same layout on another device."""
        if self.offsets.device == device:
            return self
        return Layout(self.offsets.to(device, non_blocking=True), self.max_length)


class Packed(NamedTuple):
    """A batch of sentences without padding: `tokens` int64 `[T]` and where sentences begin."""

    tokens: Tensor
    layout: Layout

    def pin_memory(self) -> "Packed":
        """The same batch in pinned host memory."""
        return Packed(self.tokens.pin_memory(), self.layout.pin_memory())

    def to(self, device: torch.device) -> "Packed":
        """The same batch on another device."""
        return Packed(self.tokens.to(device, non_blocking=True), self.layout.to(device))

    def sentences(self, rows: slice) -> "Packed":
        """A range of sentences as a batch of its own; waits for the device."""
        offsets = self.layout.offsets[rows.start : rows.stop + 1]
        begin, end = int(offsets[0]), int(offsets[-1])
        lengths = offsets.diff()
        longest = int(lengths.max()) if lengths.numel() else 0
        return Packed(self.tokens[begin:end], Layout(offsets - begin, longest))

    def twice(self) -> "Packed":
        """All sentences, followed by all of them again."""
        offsets = self.layout.offsets
        again = torch.cat([offsets, offsets[1:] + self.tokens.numel()])
        return Packed(self.tokens.repeat(2), Layout(again, self.layout.max_length))


def pack(sentences: Sequence[Sequence[int]]) -> Packed:
    """Join lists of token ids into one packed batch on the CPU."""
    lengths = [len(sentence) for sentence in sentences]
    offsets = torch.zeros(len(lengths) + 1, dtype=torch.int32)
    offsets[1:] = torch.tensor(lengths, dtype=torch.int32).cumsum(0)
    tokens = torch.tensor([token for sentence in sentences for token in sentence], dtype=torch.int64)
    return Packed(tokens, Layout(offsets, max(lengths, default=0)))
