"""What decoding keeps between steps: keys, values, and which of them each hypothesis sees; the caller owns them.

Hypotheses of a sentence share one cache and nothing in it is moved when they are reordered: each step gives every
hypothesis a slot, and `Ancestry` remembers whose slots a hypothesis descends from. The hypotheses are then so many
queries on one grid, which multiplies several times faster than a grid for each of them. Slots that no hypothesis
descends from are given out again, so that a beam needs little more of them than a single hypothesis.

Layers with as many heads share one tensor, so that a model whose layers are alike has one of each kind.

Legend: `N` sentences, `K` hypotheses a sentence, `Y` layers with as many heads, `H` heads, `D` head width, `W` slots in
use, a multiple of 16, `S` longest source, at least 16, `T` source tokens.
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


class Workspace:
    """Large tensors by name, for one user at a time, that begin where those of the last user began."""

    def __init__(self) -> None:
        self._memory: dict[str, Tensor] = {}

    def take(self, name: str, like: Tensor, *size: int) -> Tensor:
        """Return a tensor of this size, with the device and dtype of `like`, that holds whatever was there before."""
        memory, numbers = self._memory.get(name), math.prod(size)
        if memory is None or memory.numel() < numbers or (memory.dtype, memory.device) != (like.dtype, like.device):
            memory = self._memory[name] = like.new_empty(numbers)
        return memory[:numbers].view(size)


_STRIDE = 16


def _rounded_up(slots: int) -> int:
    """Whole strides: over fewer than 16 keys PyTorch's softmax is not vectorised, and takes ten times as long."""
    return -(-slots // _STRIDE) * _STRIDE


class NewSlots(NamedTuple):
    """Where the hypotheses of a step are put: in the same K slots of all sentences from `first` on, or in `slots`."""

    first: int
    slots: Tensor | None = None
    """`[N, K]`"""


@dataclass
class Ancestry:
    """Which slots the hypotheses of a sentence see, as a bias on scores: 0 those of their own past, -inf the others'.

    `bias` is `[N, 1, K, W]`; the slots from `filled` on are new to all sentences.
    """

    bias: Tensor
    filled: int = 0

    @classmethod
    def empty(cls, like: Tensor, sentences: int) -> "Ancestry":
        """That of one hypothesis a sentence, without a past, with the device and dtype of `like`."""
        return cls(like.new_full((sentences, 1, 1, _STRIDE), -math.inf))

    def append(self) -> NewSlots:
        """Give each hypothesis a slot, seen by itself alone."""
        sentences, _, hypotheses, width = self.bias.shape
        if self.filled + hypotheses > width:
            slots = self._unseen()
            if slots is not None:
                self.filled = width
                self.bias.scatter_(3, slots.view(sentences, 1, hypotheses, 1), 0.0)
                return NewSlots(width, slots)
            missing = _rounded_up(self.filled + hypotheses) - width
            self.bias = functional.pad(self.bias, (0, missing), value=-math.inf)
        first, self.filled = self.filled, self.filled + hypotheses
        self.bias.narrow(3, first, hypotheses).diagonal(dim1=2, dim2=3).zero_()
        return NewSlots(first)

    def _unseen(self) -> Tensor | None:
        """Slots `[N, K]` that no hypothesis of their sentence sees, if all sentences have so many."""
        hypotheses, width = self.bias.shape[2:]
        if hypotheses > width:
            return None
        seen, slots = self.bias.amax(dim=2).squeeze(1).topk(hypotheses, dim=-1, largest=False)
        return None if bool((seen == 0.0).any()) else slots

    def select(self, sentences: Tensor | None, parents: Tensor) -> "Ancestry":
        """That of hypotheses that continue `parents` `[M, K]` of `sentences` `[M]` (None: all, in order)."""
        number, _, before, width = self.bias.shape
        places = torch.arange(number, device=parents.device) if sentences is None else sentences
        rows = torch.add(parents, places[:, None], alpha=before)  # [M, K]
        bias = self.bias.view(-1, width).index_select(0, rows.flatten())
        return Ancestry(bias.view(len(parents), 1, parents.size(1), width), self.filled)


class LayerCache:
    """A layer's part of the cache in a step."""

    def __init__(self, grid: Tensor, living: Tensor, new: NewSlots, rows: Tensor | None, count: int) -> None:
        self.key, self.value = living.unbind()
        """All keys and values `[N, H, W, D]`; those of this step are there after `put`."""
        self._room = living.narrow(3, new.first, count) if rows is None else grid.view(2, -1, grid.size(-1))
        self._rows = rows

    def put(self, keys_values: Tensor) -> None:
        """Store keys and values `[2, N, H, K, D]` of this step."""
        if self._rows is None:
            self._room.copy_(keys_values)
        else:
            self._room.index_copy_(1, self._rows, keys_values.reshape(2, -1, keys_values.size(-1)))


@dataclass
class KeyValueCache:
    """Keys and values of all layers: `width` slots of every sentence, zero where nothing has been put.

    Each of `grids` `[Y, 2, sentences at first, H, capacity, D]` begins with the N sentences of now. The rest is not
    touched. `groups` has the numbers of the layers in each grid.
    """

    grids: list[Tensor]
    groups: list[list[int]]
    sentences: int
    width: int = 0

    @classmethod
    def beside(
        cls, memory: "DenseMemory", heads: Sequence[int], steps: int, hypotheses: int, workspace: Workspace
    ) -> "KeyValueCache":
        """An empty cache for the sentences of `memory`, with room for `steps` of at most so many `hypotheses` each.

        `heads` is their number in every layer.
        """
        like = memory.grids[0]
        _, two, sentences, _, _, head_dim = like.shape
        # Where slots are given out anew, up to K of the last ones can be left over.
        capacity = _rounded_up((steps + 1) * hypotheses)
        groups = _layers_by_heads(heads)
        grids = [
            workspace.take(f"cache {number}", like, len(own), two, sentences, heads[own[0]], capacity, head_dim)
            for number, own in enumerate(groups)
        ]
        return cls(grids, groups, sentences)

    def append(self, ancestry: Ancestry) -> list[LayerCache]:
        """Give every hypothesis a slot; return where each layer has to put keys and values, and what it sees then."""
        new = ancestry.append()
        hypotheses, width = ancestry.bias.shape[2:]
        found: dict[int, LayerCache] = {}
        for grid, group in zip(self.grids, self.groups, strict=True):
            living = grid.narrow(2, 0, self.sentences)
            if width > self.width:
                # What is hidden must still be a number.
                living.narrow(4, self.width, width - self.width).zero_()
            rows = None
            if new.slots is not None:
                heads, capacity = grid.shape[3:5]
                firsts = torch.arange(0, self.sentences * heads * capacity, capacity, device=grid.device)
                rows = (firsts.view(-1, heads, 1) + new.slots[:, None, :]).flatten()  # [N * H * K]
            layers = zip(group, grid.unbind(), living.narrow(4, 0, width).unbind(), strict=True)
            found |= {layer: LayerCache(whole, own, new, rows, hypotheses) for layer, whole, own in layers}
        self.width = max(self.width, width)
        return [found[layer] for layer in range(len(found))]

    def select(self, rows: Tensor) -> "KeyValueCache":
        """The cache of some of the sentences; this one is spent."""
        for grid in self.grids:
            _gather(grid.narrow(4, 0, self.width), rows)
        return KeyValueCache(self.grids, self.groups, len(rows), self.width)


class Memory(NamedTuple):
    """Keys and values of a layer, `[N, H, S, D]` each."""

    key: Tensor
    value: Tensor


class DenseMemory:
    """Projected memory of all layers, shared by all hypotheses of a sentence and never copied for them.

    Each of `grids` `[Y, 2, sentences at first, H, S, D]` begins with the N sentences of now; `groups` has the numbers
    of the layers in each. `bias` hides pads, `[N, 1, 1, S]`, or is None.
    """

    def __init__(self, grids: list[Tensor], groups: list[list[int]], sentences: int, bias: Tensor | None) -> None:
        self.grids, self.groups, self.bias = grids, groups, bias
        found = {
            layer: Memory(*own.unbind())
            for grid, group in zip(grids, groups, strict=True)
            for layer, own in zip(group, grid.narrow(2, 0, sentences).unbind(), strict=True)
        }
        self.layers = [found[layer] for layer in range(len(found))]

    @classmethod
    def of(
        cls,
        memory: Tensor,
        layout: Layout,
        projections: Sequence[Callable[[Tensor], Tensor]],
        heads: Sequence[int],
        workspace: Workspace,
    ) -> "DenseMemory":
        """Project memory `[T, d_model]` for every layer: to keys and values `[..., 2 * H * D]` of its H `heads`."""
        wide = Layout(layout.offsets, max(_STRIDE, layout.max_length))
        cells = memory.index_select(0, wide.rows)  # [N * S, d_model]
        size = (wide.num_sentences, wide.max_length, 2)
        groups, grids = _layers_by_heads(heads), []
        for number, group in enumerate(groups):
            parts = [projections[layer](cells).view(*size, heads[layer], -1) for layer in group]
            parts = [part.permute(2, 0, 3, 1, 4) for part in parts]  # [2, N, H, S, D]
            grid = workspace.take(f"memory {number}", parts[0], len(parts), *parts[0].shape)
            for place, part in zip(grid, parts, strict=True):
                place.copy_(part)
            grids.append(grid)
        return cls(grids, groups, wide.num_sentences, length_bias(wide, grids[0].dtype))

    def select(self, rows: Tensor) -> "DenseMemory":
        """The memory of some of the sentences; this one is spent."""
        bias = None if self.bias is None else self.bias.index_select(0, rows)
        for grid in self.grids:
            _gather(grid, rows)
        return DenseMemory(self.grids, self.groups, len(rows), bias)


def _layers_by_heads(heads: Sequence[int]) -> list[list[int]]:
    """Group the numbers of layers, from 0, that have as many heads."""
    groups: dict[int, list[int]] = {}
    for layer, count in enumerate(heads):
        groups.setdefault(count, []).append(layer)
    return list(groups.values())


def _gather(grid: Tensor, rows: Tensor) -> None:
    """Make the sentences of `grid` begin with `rows` `[M]` of them, distinct.

    Only those are moved that shall not stay where they are: a search that keeps most of its sentences in their places
    pays for the few that it moves into gaps.
    """
    if grid.is_cuda:
        # To know which, the host would have to wait.
        grid.narrow(2, 0, len(rows)).copy_(grid.index_select(2, rows))
        return
    places = rows.tolist()
    # One by one, which is several times as fast as `index_select` across the layers.
    moved = {place: grid.select(2, row).clone() for place, row in enumerate(places) if place != row}
    for place, sentence in moved.items():
        grid.select(2, place).copy_(sentence)
