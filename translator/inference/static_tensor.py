"""Tensors of fixed address, in few sizes: what a recorded step is allowed to read and write."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def round_up(size: int, unit: int) -> int:
    """Return the least allowed size of at least `size`: few sizes, so that shapes recur, and none twice too large.

    Allowed are multiples of `unit` up to four of them, and above that the powers of two and what is half way between
    them, times `unit`: 1, 2, 3, 4, 6, 8, 12, 16, 24 and so on.
    """
    units = -(-size // unit)
    grain = max(1, (1 << (units.bit_length() - 1)) // 2)
    return unit * grain * -(-units // grain)


class StaticTensor:
    """A tensor that changes its shape but not its address: the same shape always means the same addresses.

    `now` is the tensor, after the first `fill` or `put`.
    """

    now: Tensor

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self._storage = torch.empty(0, dtype=dtype, device=device)

    def reserve(self, *shape: int) -> bool:
        """Make room for `shape`; return whether that moved the tensor, whose contents and recordings are then lost."""
        size = math.prod(shape)
        if size <= self._storage.numel():
            return False
        # Generous, so that batches that differ a little do not move it again and again.
        self._storage = self._storage.new_empty(1 << (size - 1).bit_length())
        return True

    def fill(self, number: float, *shape: int) -> None:
        """Become a tensor of this shape that holds one number."""
        self._become(shape)
        self.now.fill_(number)

    def put(self, values: Tensor, shape: Sequence[int] | None = None, fill: float = 0.0) -> None:
        """Become `values`, which must not share storage with this tensor.

        With a larger `shape`, `values` are its first rows and columns, and the rest is `fill`.
        """
        self._become(values.shape if shape is None else shape)
        if self.now.shape != values.shape:
            self.now.fill_(fill)
        self.now[tuple(slice(size) for size in values.shape)] = values

    def _become(self, shape: Sequence[int]) -> None:
        self.now = self._storage[: math.prod(shape)].view(*shape)
