"""What decoding keeps between steps: keys, values, and which of them each hypothesis sees; the caller owns them.

Hypotheses of a sentence share one cache and nothing in it is moved when they are reordered: each step gives every
hypothesis a slot, and `Ancestry` remembers whose slots a hypothesis descends from. The hypotheses are then so many
queries on one grid, which multiplies several times faster than a grid for each of them. Slots that no hypothesis
descends from are given out again, so that a beam needs little more of them than a single hypothesis.

Legend: `N` sentences, `K` hypotheses a sentence, `Y` layers, `H` heads, `D` head width, `L` slots so far, `W` the same
rounded up, `S` longest source, rounded up, `T` source tokens.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from translator.attention.layout import Layout
from translator.attention.padded import length_bias

_STRIDE = 16


def _rounded_up(slots: int) -> int:
    """Whole strides: over fewer than 16 keys PyTorch's softmax is not vectorised, and takes ten times as long."""
    return -(-slots // _STRIDE) * _STRIDE


@dataclass
class Ancestry:
    """Which slots the hypotheses of a sentence see, as a bias on scores: 0 those of their own past, -inf the others'.

    `bias` is `[N, 1, K, W]`, and `length` slots are filled.
    """

    bias: Tensor
    length: int = 0

    @classmethod
    def empty(cls, like: Tensor, sentences: int) -> "Ancestry":
        """That of one hypothesis a sentence, without a past, with the device and dtype of `like`."""
        return cls(like.new_full((sentences, 1, 1, _STRIDE), -math.inf))

    def append(self) -> None:
        """Add a slot for each hypothesis, seen by itself alone."""
        slots = slice(self.length, self.length + self.bias.size(2))
        missing = _rounded_up(slots.stop) - self.bias.size(3)
        if missing > 0:
            self.bias = functional.pad(self.bias, (0, missing), value=-math.inf)
        self.bias[..., slots].diagonal(dim1=2, dim2=3).zero_()
        self.length = slots.stop

    def select(self, sentences: Tensor | None, parents: Tensor) -> "Ancestry":
        """That of hypotheses that continue `parents` `[M, K]` of `sentences` `[M]` (None: all, in order)."""
        number, _, before, width = self.bias.shape
        places = torch.arange(number, device=parents.device) if sentences is None else sentences
        rows = torch.add(parents, places[:, None], alpha=before)  # [M, K]
        bias = self.bias.view(-1, width).index_select(0, rows.flatten())
        return Ancestry(bias.view(len(parents), 1, parents.size(1), width), self.length)


class Slots(NamedTuple):
    """A layer's part of the cache in a step."""

    room: Tensor
    """Where its new keys and values go, `[N, 2, H, K, D]`."""
    key: Tensor
    """All keys `[N, H, W, D]`, the new ones included as soon as they are there; zeros where no slot is filled."""
    value: Tensor
    """All values, likewise."""


@dataclass
class KeyValueCache:
    """Keys and values of all layers, `[N, Y, 2, H, slots, D]`: `length` slots, and zeros up to a whole stride."""

    grid: Tensor
    length: int = 0

    @classmethod
    def empty(cls, like: Tensor, sentences: int, layers: int, heads: int, head_dim: int) -> "KeyValueCache":
        """An empty cache with the device and dtype of `like`."""
        return cls(like.new_empty(sentences, layers, 2, heads, 2 * _STRIDE, head_dim))

    def append(self, count: int) -> list[Slots]:
        """Add `count` slots to every sentence and return where each layer has to fill them."""
        first, self.length = self.length, self.length + count
        before, width, slots = _rounded_up(first), _rounded_up(self.length), self.grid.size(4)
        if width > slots:
            # Twice as many: most sentences end far below their limit, and what is copied stays less than what is used.
            sizes = (*self.grid.shape[:4], max(width, 2 * slots), self.grid.size(5))
            grid, self.grid = self.grid, self.grid.new_empty(sizes)
            self.grid.narrow(4, 0, slots).copy_(grid)
        if width > before:
            # What is hidden must still be a number.
            self.grid.narrow(4, before, width - before).zero_()
        rooms = self.grid.narrow(4, first, count).unbind(1)
        seen = self.grid.narrow(4, 0, width).unbind(1)
        return [Slots(room, *whole.unbind(1)) for room, whole in zip(rooms, seen, strict=True)]

    def select(self, sentences: Tensor) -> "KeyValueCache":
        """The cache of some of the sentences; see `gathered`."""
        return KeyValueCache(gathered(self.grid, sentences), self.length)


class DenseMemory:
    """Projected memory of all layers on a grid, shared by all hypotheses of a sentence and never copied for them.

    `grid` `[N, Y, 2, H, S, D]`; `bias` hides pads, `[N, 1, 1, S]`, or is None.
    """

    def __init__(self, grid: Tensor, bias: Tensor | None) -> None:
        self.grid, self.bias = grid, bias
        self.layers: list[tuple[Tensor, Tensor]] = [tuple(layer.unbind(1)) for layer in grid.unbind(1)]  # type: ignore[misc]
        """Keys and values `[N, H, S, D]` of each."""

    @classmethod
    def of(cls, projected: Tensor, layout: Layout) -> "DenseMemory":
        """Of keys and values `[N * S, Y, 2, H, D]` in the cells of `layout`, which is that of `memory_layout`."""
        grid = projected.unflatten(0, (layout.num_sentences, layout.max_length)).permute(0, 2, 3, 4, 1, 5)
        return cls(grid.contiguous(), length_bias(layout, projected.dtype))

    def select(self, sentences: Tensor) -> "DenseMemory":
        """The memory of some of the sentences; see `gathered`."""
        bias = None if self.bias is None else self.bias.index_select(0, sentences)
        return DenseMemory(gathered(self.grid, sentences), bias)


def memory_layout(layout: Layout) -> Layout:
    """The layout of the same sentences whose grid is wide enough for attention to be fast."""
    return Layout(layout.offsets, _rounded_up(layout.max_length))


def gathered(grid: Tensor, rows: Tensor) -> Tensor:
    """Return `rows` `[M]` of `grid` `[N, ...]`, distinct; on the CPU in its memory, so that `grid` is spent.

    There only those rows are moved that shall not stay where they are. A search that keeps most of its sentences in
    their places pays for the few that it moves into gaps.
    """
    if grid.is_cuda:
        return grid.index_select(0, rows)
    kept = grid.narrow(0, 0, len(rows))
    moved = (rows != torch.arange(len(rows))).nonzero().squeeze(1)
    if moved.numel():
        kept.index_copy_(0, moved, grid.index_select(0, rows.index_select(0, moved)))
    return kept
