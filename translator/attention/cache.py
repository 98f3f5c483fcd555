"""Keys and values kept between decoding steps; the caller owns them, no module does.

Legend: `N` sentences, `K` hypotheses a sentence, `R` = N * K rows, `H` heads, `D` head width, `S` longest source.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass
class KeyValueCache:
    """Keys and values of the positions decoded so far, `[R, H, capacity, D]`, of which `length` are filled."""

    key: Tensor
    value: Tensor
    length: int = 0

    @classmethod
    def empty(cls, like: Tensor, rows: int, heads: int, capacity: int, head_dim: int) -> "KeyValueCache":
        """An empty cache with the device and dtype of `like`."""
        size = (rows, heads, capacity, head_dim)
        return cls(like.new_empty(size), like.new_empty(size))

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add one position, `[R, H, D]`, and return all keys and values so far, `[R, H, length, D]`."""
        self.key[:, :, self.length] = key
        self.value[:, :, self.length] = value
        self.length += 1
        return self.key[:, :, : self.length], self.value[:, :, : self.length]

    def select(self, rows: Tensor) -> "KeyValueCache":
        """The cache of a new set of rows, each continuing one of the present rows."""
        key, value = (old.new_empty(len(rows), *old.shape[1:]) for old in (self.key, self.value))
        for new, old in ((key, self.key), (value, self.value)):
            new[:, :, : self.length] = old[:, :, : self.length].index_select(0, rows)
        return KeyValueCache(key, value, self.length)


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
