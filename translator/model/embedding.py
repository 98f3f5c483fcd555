"""Tokens to vectors: a scaled embedding plus positions, then dropout.

Vaswani et al. 2017, sections 3.4 (scaling by sqrt(d_model)) and 3.5 (sinusoidal positions).
Legend (docs/shapes.md): `T` tokens.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from translator.attention import Packed
from translator.attention.dropout import Dropout


class SinusoidalPositions(nn.Module):
    """The fixed table PE(p, 2i) = sin(p / 10000^(2i/d)), PE(p, 2i+1) = cos(p / 10000^(2i/d))."""

    table: Tensor

    def __init__(self, max_positions: int, d_model: int) -> None:
        super().__init__()
        positions = torch.arange(max_positions, dtype=torch.float64)[:, None]
        self.register_buffer("table", self._values(positions, d_model).float(), persistent=False)

    @staticmethod
    def _values(positions: Tensor, d_model: int) -> Tensor:
        rates = torch.exp(torch.arange(0, d_model, 2, dtype=torch.float64) * (-math.log(10_000.0) / d_model))
        return torch.stack([torch.sin(positions * rates), torch.cos(positions * rates)], dim=-1).flatten(1)

    def forward(self, positions: Tensor) -> Tensor:
        """Vectors `[..., d_model]` of positions `[...]`."""
        return self.table[positions]


class MarianPositions(SinusoidalPositions):
    """Marian's table: PE(p, i) = sin(p r_i), PE(p, d/2 + i) = cos(p r_i), where r_i = 10000^(-i / (d/2 - 1)).

    Sines and cosines are in halves, and the last wavelength is exactly 10,000 * 2 pi (`SinusoidalEmbedding` there).
    """

    @staticmethod
    def _values(positions: Tensor, d_model: int) -> Tensor:
        half = d_model // 2
        rates = torch.exp(torch.arange(half, dtype=torch.float64) * (-math.log(10_000.0) / (half - 1)))
        return torch.cat([torch.sin(positions * rates), torch.cos(positions * rates)], dim=1)


class LearnedPositions(nn.Module):
    """A trained vector for every position."""

    def __init__(self, max_positions: int, d_model: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(max_positions, d_model))
        nn.init.normal_(self.table, std=0.02)

    def forward(self, positions: Tensor) -> Tensor:
        """Vectors `[..., d_model]` of positions `[...]`."""
        return functional.embedding(positions, self.table)


POSITIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "sinusoidal": SinusoidalPositions,
    "marian": MarianPositions,
    "learned": LearnedPositions,
}
"""By name: from the longest sequence and d_model to the module."""


class Embedding(nn.Module):
    """Scaled token vectors plus positions; `weight` `[vocabulary, d_model]` may be shared with others.

    With `zero_start`, the first token of every sentence has a vector of zeros, whatever its id: the start of targets in
    models without a start token, such as Marian's.
    """

    def __init__(
        self,
        weight: nn.Parameter,
        positions: nn.Module,
        dropout: float,
        word_dropout: float = 0.0,
        zero_start: bool = False,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.positions = positions
        self.dropout = Dropout(dropout)
        self.word_dropout = word_dropout
        self.zero_start = zero_start
        self.scale = math.sqrt(weight.shape[1])

    def forward(self, batch: Packed) -> Tensor:
        """Vectors `[T, d_model]` of a packed batch."""
        positions = batch.layout.positions(batch.tokens.numel())
        vectors = functional.embedding(batch.tokens, self.weight)
        if self.zero_start:
            vectors = vectors * (positions > 0)[:, None]
        if self.training and self.word_dropout:
            # Not scaled up: when one word is hidden from the model, the others should not look larger to it.
            vectors = vectors * (torch.rand(len(vectors), 1, device=vectors.device) >= self.word_dropout)
        embedded: Tensor = self.dropout(torch.add(self.positions(positions), vectors, alpha=self.scale))
        return embedded
