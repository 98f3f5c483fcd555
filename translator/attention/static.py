"""Attention over tensors whose address stays, for decoding steps that are recorded once and replayed (CUDA graphs).

A recording repeats its kernels with the addresses and shapes that it has seen. So the cache has room for more slots
than are filled and the batch for more sentences than there are, and a bias hides what is not there. What is kept is
otherwise the same as in `cache.py`, whose tensors grow.

Legend: `N` sentences, `K` hypotheses a sentence, `H` heads, `D` head width, `L` slots of the cache, `S` places of
the memory.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from translator.attention.module import MultiHeadAttention


def round_up(size: int, unit: int) -> int:
    """Return the least allowed size of at least `size`: few sizes, so that shapes come back, and none twice too large.

    Allowed are multiples of `unit` up to four of them, and above that the powers of two and what lies half way between
    them, times `unit`: 1, 2, 3, 4, 6, 8, 12, 16, 24 and so on.
    """
    units = -(-size // unit)
    grain = max(1, (1 << (units.bit_length() - 1)) // 2)
    return unit * grain * -(-units // grain)


class StaticTensor:
    """A tensor that changes its shape and stays where it is: a shape always means the same addresses.

    `now` is the tensor, after the first `fill` or `put`.
    """

    now: Tensor

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self._memory = torch.empty(0, dtype=dtype, device=device)

    def reserve(self, *shape: int) -> bool:
        """Make room for `shape`; return whether that moved the tensor, which loses contents and recordings."""
        size = math.prod(shape)
        if size <= self._memory.numel():
            return False
        # Generous, so that batches that differ a little do not move it again and again.
        self._memory = self._memory.new_empty(1 << (size - 1).bit_length())
        return True

    def fill(self, number: float, *shape: int) -> None:
        """Become a tensor of this shape that holds one number."""
        self._become(shape)
        self.now.fill_(number)

    def put(self, values: Tensor, shape: Sequence[int] | None = None, fill: float = 0.0) -> None:
        """Become `values`, which lie elsewhere; in a larger `shape` they stand at the beginning, and `fill` behind."""
        self._become(values.shape if shape is None else shape)
        if self.now.shape != values.shape:
            self.now.fill_(fill)
        self.now[tuple(slice(size) for size in values.shape)] = values

    def _become(self, shape: Sequence[int]) -> None:
        self.now = self._memory[: math.prod(shape)].view(*shape)


def step_to_static_cache(
    attention: MultiHeadAttention, states: Tensor, keys: Tensor, values: Tensor, slots: Tensor, bias: Tensor
) -> Tensor:
    """One decoding step of masked self-attention for `states` `[N, K, d_model]`; returns `[N, K, d_model]`.

    What it adds to `keys` and `values` `[N, H, L, D]` goes into the `slots` `[K]`. `bias` `[N, 1, K, L]` is 0 for the
    slots of a hypothesis's own past, this step included, and -inf for all others, whose contents must be finite.
    """
    query, key, value = (part.transpose(1, 2) for part in attention.project_all(states))  # [N, H, K, D]
    keys.index_copy_(2, slots, key)
    values.index_copy_(2, slots, value)
    return _attend(attention, query, keys, values, bias)


def step_to_static_memory(
    attention: MultiHeadAttention, states: Tensor, keys: Tensor, values: Tensor, bias: Tensor
) -> Tensor:
    """One decoding step of cross-attention for `states` `[N, K, d_model]`; returns `[N, K, d_model]`.

    `keys` and `values` `[N, H, S, D]`; `bias` `[N, 1, 1, S]` is -inf where there is no memory, which must be finite.
    """
    query = attention.project_query(states).transpose(1, 2)  # [N, H, K, D]
    return _attend(attention, query, keys, values, bias)


def _attend(attention: MultiHeadAttention, query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    # One kernel on CUDA, where the explicit product, softmax and product are seven.
    heads = functional.scaled_dot_product_attention(query, keys, values, attn_mask=bias)
    return attention.output(heads.transpose(1, 2).flatten(2))
