"""The padded grid of a batch, with its heads side by side: how packed tokens get there and back in one gather each.

Legend (docs/shapes.md): `T` tokens, `N` sentences, `H` heads, `D` head width, `L` longest sentence; `N'` and `L'` are N
and L after rounding up.
"""

import math
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

_LENGTHS = 4
"""Grids on the CPU are as long as a multiple of this: products and sums of rows that are no multiple of it can take
twice as long, and those in bf16 are compiled for each new shape, in about 0.5 ms."""
_SENTENCES = 16
"""Grids of more than four times as many sentences have a multiple of this, for the same reason."""


class Grid:
    """The grid `[N', H, L', D]` of packed tokens `[T, H, D]` on the CPU."""

    def __init__(self, lengths: Tensor, max_length: int) -> None:
        """`lengths` int64 `[N]`, on the CPU, of which `max_length` is the largest."""
        sentences = len(lengths)
        self.sentences = sentences + (-sentences % _SENTENCES if sentences > 4 * _SENTENCES else 0)
        self.length = max_length + -max_length % _LENGTHS
        self.lengths = torch.nn.functional.pad(lengths, (0, self.sentences - sentences))
        self._made: dict[tuple[str | int, int], Tensor] = {}

    @cached_property
    def mask(self) -> Tensor:
        """True where a cell holds a token, bool `[N', L']`."""
        return torch.arange(self.length) < self.lengths[:, None]

    @cached_property
    def has_pads(self) -> bool:
        """Whether a cell holds no token."""
        return not bool(self.mask.all())

    @cached_property
    def key_bias(self) -> Tensor | None:
        """The bias that hides pads as keys, fp32 `[N', 1, 1, L']`, or None if there are none.

        A sentence without tokens keeps its first cell: of no keys at all, the weights are not numbers.
        """
        if not self.has_pads:
            return None
        hidden = torch.arange(self.length) >= self.lengths.clamp(min=1)[:, None]
        return torch.zeros(hidden.shape).masked_fill_(hidden, -math.inf)[:, None, None, :]

    @cached_property
    def causal_bias(self) -> Tensor:
        """The bias that hides later cells, fp32 `[L', L']`: pads too from every real query, since they come last."""
        return torch.full((self.length, self.length), -math.inf).triu_(1)

    def spread(self, packed: Tensor) -> Tensor:
        """Spread `[T, H, D]` over `[N', H, L', D]`; a pad holds some other token's values, finite but meaningless.

        The rows of D numbers may lie in memory next to each other, or be parts of wider rows, as those of queries are
        which were projected together with keys and values.
        """
        tokens, heads, width = packed.shape
        if packed.stride(2) != 1 or packed.stride(1) != width or packed.stride(0) % width:
            packed = packed.contiguous()
        step = packed.stride(0) // width
        rows = packed.as_strided(((tokens - 1) * step + heads, width), (width, 1))
        indices = self._indices(step, heads, lambda: self._rows(heads, step))
        return rows.index_select(0, indices).view(self.sentences, heads, self.length, width)

    def collect(self, grid: Tensor) -> Tensor:
        """Collect `[N', H, L', D]` into `[T, H, D]`, leaving out the pads."""
        heads, width = grid.shape[1], grid.shape[3]
        indices = self._indices("cells", heads, lambda: self._cells(self.mask, heads))
        return grid.view(-1, width).index_select(0, indices).view(-1, heads, width)

    def clear_pads(self, grid: Tensor) -> Tensor:
        """Set the pads of `[N', H, L', D]` to zero, in place."""
        if self.has_pads:
            heads, width = grid.shape[1], grid.shape[3]
            pads = self._indices("pads", heads, lambda: self._cells(~self.mask, heads))
            grid.view(-1, width)[pads] = 0.0
        return grid

    def _rows(self, heads: int, step: int) -> Tensor:
        """For each cell of each head, the index of its row of D numbers: int64 `[N' * H * L']`."""
        starts = torch.cumsum(self.lengths, 0) - self.lengths
        last = (self.lengths.sum() - 1).clamp(min=0)
        tokens = torch.minimum(starts[:, None] + torch.arange(self.length), last)  # [N', L']
        return (tokens[:, None] * step + torch.arange(heads)[:, None]).flatten()

    def _cells(self, chosen: Tensor, heads: int) -> Tensor:
        """For each head of each cell that is `chosen`, bool `[N', L']`, the index of the cell in a grid: int64."""
        sentences, columns = chosen.nonzero(as_tuple=True)
        return ((sentences[:, None] * heads + torch.arange(heads)) * self.length + columns[:, None]).flatten()

    def _indices(self, kind: str | int, heads: int, make: Callable[[], Tensor]) -> Tensor:
        """Make indices once: all layers gather by the same ones."""
        if (kind, heads) not in self._made:
            self._made[kind, heads] = make()
        return self._made[kind, heads]
