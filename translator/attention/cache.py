"""What decoding keeps between steps: keys, values, and which of them each hypothesis sees; the caller owns them.

Hypotheses of a sentence share one cache and nothing in it is moved when they are reordered: each step adds a slot for
every hypothesis, and `Ancestry` remembers whose slots a hypothesis descends from. The hypotheses are then so many
queries on one grid, which multiplies several times faster than a grid for each of them.

Legend: `N` sentences, `K` hypotheses a sentence, `H` heads, `D` head width, `L` slots so far, `S` longest source.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Ancestry:
    """Which slots the hypotheses of a sentence see, as a bias on scores: 0 those of their own past, -inf the others'.

    `bias` is `[N, 1, K, L]`, or None while every sentence has had but one hypothesis, which sees everything.
    """

    bias: Tensor | None = None
    length: int = 0

    def append(self, like: Tensor, hypotheses: int) -> None:
        """Add a slot for each hypothesis, seen by itself alone; `like` `[N, ...]` gives number, device and dtype."""
        self.length += hypotheses
        if hypotheses == 1 and self.bias is None:
            return
        own = like.new_full((hypotheses, hypotheses), -math.inf).fill_diagonal_(0.0)
        own = own.expand(len(like), 1, hypotheses, hypotheses)
        past = like.new_zeros(len(like), 1, hypotheses, self.length - hypotheses) if self.bias is None else self.bias
        self.bias = torch.cat([past, own], dim=-1)

    def select(self, sentences: Tensor | None, parents: Tensor) -> "Ancestry":
        """That of hypotheses that continue `parents` `[M, K]` of `sentences` `[M]` (None: all, in order)."""
        if self.bias is None:
            return Ancestry(None, self.length)
        bias = self.bias if sentences is None else self.bias.index_select(0, sentences)
        index = parents[:, None, :, None].expand(-1, 1, -1, bias.size(-1))
        return Ancestry(bias.gather(2, index), self.length)


@dataclass
class KeyValueCache:
    """Keys and values `[N, H, capacity, D]` of the hypotheses of every sentence; `length` slots are filled."""

    key: Tensor
    value: Tensor
    length: int = 0

    @classmethod
    def empty(cls, like: Tensor, sentences: int, heads: int, capacity: int, head_dim: int) -> "KeyValueCache":
        """An empty cache with the device and dtype of `like`."""
        size = (sentences, heads, capacity, head_dim)
        return cls(like.new_empty(size), like.new_empty(size))

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add one position of K hypotheses, `[N, H, K, D]`; return all keys and values so far, `[N, H, L, D]`."""
        slots = slice(self.length, self.length + key.size(2))
        self.key[:, :, slots] = key
        self.value[:, :, slots] = value
        self.length = slots.stop
        return self.key[:, :, : self.length], self.value[:, :, : self.length]

    def select(self, sentences: Tensor) -> "KeyValueCache":
        """The cache of some of the sentences."""
        kept = KeyValueCache.empty(self.key, len(sentences), self.key.size(1), self.key.size(2), self.key.size(3))
        kept.length = self.length
        for new, old in ((kept.key, self.key), (kept.value, self.value)):
            new[:, :, : self.length] = old[:, :, : self.length].index_select(0, sentences)
        return kept


@dataclass(frozen=True)
class DenseMemory:
    """Projected memory on a grid, shared by all hypotheses of a sentence and never copied for them.

    `key`, `value` `[N, H, S, D]`; `bias` hides pads, `[N, 1, 1, S]`, or is None.
    """

    key: Tensor
    value: Tensor
    bias: Tensor | None

    def select(self, sentences: Tensor) -> "DenseMemory":
        """The memory of some of the sentences."""
        bias = None if self.bias is None else self.bias.index_select(0, sentences)
        return DenseMemory(self.key.index_select(0, sentences), self.value.index_select(0, sentences), bias)
