"""What decoding keeps between steps: keys and values of the past and of the memory, in tensors that grow.

`PastCache` and `Memory` are what a step sees of it, whoever keeps it: the caches of this file, or the fixed tensors of
`static_decoder.py`. Layers with the same number of heads share one tensor, so that a model whose layers are alike has
one tensor of each kind.

Legend (docs/shapes.md): `N` sentences, `M` of them that stay, `K` hypotheses a sentence, `Y` layers that share a
tensor, `H` heads, `D` head width, `W` slots in use, `L` longest source, at least 16, `S` source tokens.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from translator.attention.layout import Layout
from translator.attention.padded import length_bias
from translator.inference.ancestry import STRIDE, Ancestry, NewSlots, whole_strides


class PastCache(Protocol):
    """Keys and values of a layer for what was decoded, `[N, H, W, D]` each; those of this step after `put`."""

    key: Tensor
    value: Tensor

    def put(self, keys_values: Tensor) -> None:
        """Store this step's keys and values `[2, N, H, K, D]`."""
        ...


class Memory(NamedTuple):
    """Keys and values of a layer for the source, `[N, H, L, D]` each."""

    key: Tensor
    value: Tensor


class Workspace:
    """Large tensors by name, for one batch at a time; the next batch finds them where they are."""

    def __init__(self) -> None:
        self._tensors: dict[str, Tensor] = {}

    def take(self, name: str, like: Tensor, *size: int) -> Tensor:
        """Return a tensor of this size, with the device and dtype of `like`; its contents are arbitrary."""
        tensor, count = self._tensors.get(name), math.prod(size)
        if tensor is None or tensor.numel() < count or (tensor.dtype, tensor.device) != (like.dtype, like.device):
            tensor = self._tensors[name] = like.new_empty(count)
        return tensor[:count].view(size)


class GrowingLayerCache:
    """`PastCache` in a part of the tensor of a `KeyValueCache`, for one step."""

    def __init__(self, whole: Tensor, used: Tensor, new: NewSlots, rows: Tensor | None, count: int) -> None:
        """`used` `[2, N, H, W, D]` is the part of the layer's `whole` tensor that this step sees.

        The `count` hypotheses of a sentence have the slots `new`; if those differ between sentences, `rows` `[N * H *
        K]` has their indices in `whole`.
        """
        self.key, self.value = used.unbind()
        self._target = used.narrow(3, new.first, count) if rows is None else whole.view(2, -1, whole.size(-1))
        self._rows = rows

    def put(self, keys_values: Tensor) -> None:
        """See `PastCache`."""
        if self._rows is None:
            self._target.copy_(keys_values)
        else:
            self._target.index_copy_(1, self._rows, keys_values.reshape(2, -1, keys_values.size(-1)))


@dataclass
class KeyValueCache:
    """Keys and values of all layers: `width` slots of every sentence, zero where nothing has been put.

    Each of `grids` `[Y, 2, sentences at first, H, capacity, D]` begins with the N sentences that are left; nothing
    reads the rest. `groups` has the indices of the layers in each grid.
    """

    grids: list[Tensor]
    groups: list[list[int]]
    sentences: int
    width: int = 0

    @classmethod
    def next_to(
        cls, memory: "DenseMemory", heads: Sequence[int], steps: int, hypotheses: int, workspace: Workspace
    ) -> "KeyValueCache":
        """An empty cache for the sentences of `memory`, with room for `steps` of at most `hypotheses` each.

        `heads` has the number of heads of every layer.
        """
        like = memory.grids[0]
        _, two, sentences, _, _, head_dim = like.shape
        # When slots are given out again, up to K of the last ones can be left over.
        capacity = whole_strides((steps + 1) * hypotheses)
        groups = _layers_by_heads(heads)
        grids = [
            workspace.take(f"cache {index}", like, len(layers), two, sentences, heads[layers[0]], capacity, head_dim)
            for index, layers in enumerate(groups)
        ]
        return cls(grids, groups, sentences)

    def append(self, ancestry: Ancestry) -> list[GrowingLayerCache]:
        """Give every hypothesis a slot; return where each layer puts its keys and values, and what it then sees."""
        new = ancestry.append()
        hypotheses, width = ancestry.bias.shape[2:]
        found: dict[int, GrowingLayerCache] = {}
        for grid, group in zip(self.grids, self.groups, strict=True):
            living = grid.narrow(2, 0, self.sentences)
            if width > self.width:
                # What is hidden must still be a number: a weight of zero does not help against a NaN.
                living.narrow(4, self.width, width - self.width).zero_()
            rows = None
            if new.slots is not None:
                heads, capacity = grid.shape[3:5]
                firsts = torch.arange(0, self.sentences * heads * capacity, capacity, device=grid.device)
                rows = (firsts.view(-1, heads, 1) + new.slots[:, None, :]).flatten()  # [N * H * K]
            layers = zip(group, grid.unbind(), living.narrow(4, 0, width).unbind(), strict=True)
            found |= {layer: GrowingLayerCache(whole, used, new, rows, hypotheses) for layer, whole, used in layers}
        self.width = max(self.width, width)
        return [found[layer] for layer in range(len(found))]

    def select(self, sentences: Tensor) -> "KeyValueCache":
        """The cache of `sentences` `[M]`; this one must not be used any more."""
        for grid in self.grids:
            _gather(grid.narrow(4, 0, self.width), sentences)
        return KeyValueCache(self.grids, self.groups, len(sentences), self.width)


class DenseMemory:
    """Projected memory of all layers, shared by all hypotheses of a sentence and never copied for them.

    Each of `grids` `[Y, 2, sentences at first, H, L, D]` begins with the N sentences that are left; `groups` has the
    indices of the layers in each. `bias` `[N, 1, 1, L]` hides pads; it is None if there are none.
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
        """Project memory `[S, d_model]` for every layer: to keys and values `[..., 2 * H * D]` of its H `heads`."""
        wide = Layout(layout.offsets, max(STRIDE, layout.max_length))
        cells = memory.index_select(0, wide.rows)  # [N * L, d_model]
        size = (wide.num_sentences, wide.max_length, 2)
        groups, grids = _layers_by_heads(heads), []
        for index, group in enumerate(groups):
            parts = [projections[layer](cells).view(*size, heads[layer], -1) for layer in group]
            parts = [part.permute(2, 0, 3, 1, 4) for part in parts]  # [2, N, H, L, D]
            grid = workspace.take(f"memory {index}", parts[0], len(parts), *parts[0].shape)
            for own, part in zip(grid, parts, strict=True):
                own.copy_(part)
            grids.append(grid)
        return cls(grids, groups, wide.num_sentences, length_bias(wide, grids[0].dtype))

    def select(self, sentences: Tensor) -> "DenseMemory":
        """The memory of `sentences` `[M]`; this one must not be used any more."""
        bias = None if self.bias is None else self.bias.index_select(0, sentences)
        for grid in self.grids:
            _gather(grid, sentences)
        return DenseMemory(self.grids, self.groups, len(sentences), bias)


def _layers_by_heads(heads: Sequence[int]) -> list[list[int]]:
    """Group the indices of layers that have the same number of heads."""
    groups: dict[int, list[int]] = {}
    for layer, count in enumerate(heads):
        groups.setdefault(count, []).append(layer)
    return list(groups.values())


def _gather(grid: Tensor, sentences: Tensor) -> None:
    """Make `grid` begin with `sentences` `[M]`, which are distinct.

    On the CPU only those are moved that change their row: a search that keeps most sentences in their rows pays for
    the few that it moves into gaps.
    """
    if grid.is_cuda:
        # To know which sentences move, the host would have to wait.
        grid.narrow(2, 0, len(sentences)).copy_(grid.index_select(2, sentences))
        return
    # One by one, which is several times as fast as `index_select` across the layers.
    moved = {row: grid.select(2, old).clone() for row, old in enumerate(sentences.tolist()) if row != old}
    for row, sentence in moved.items():
        grid.select(2, row).copy_(sentence)
