"""Dropout with masks that are cheap to draw on the CPU."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 1 << 16


class Dropout(nn.Module):
    """Zero a share of the values in training and scale up the rest."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, values: Tensor) -> Tensor:
        """Drop from `values` of any shape."""
        if not self.training or self.probability == 0.0:
            return values
        if values.device.type != "cpu":
            return functional.dropout(values, self.probability)
        return values * dropout_scale(values, self.probability)

    def add(self, residual: Tensor, values: Tensor) -> Tensor:
        """Return `residual` plus the dropped `values`, in one pass on the CPU."""
        if not self.training or self.probability == 0.0 or values.device.type != "cpu":
            return residual + self.forward(values)
        scale = dropout_scale(values, self.probability)
        added: Tensor = _AddProduct.apply(residual.to(values.dtype), values, scale)  # type: ignore[no-untyped-call]
        return added


class _AddProduct(torch.autograd.Function):
    """`residual + values * scale`; `torch.addcmul` would multiply twice in its backward pass."""

    @staticmethod
    def forward(ctx: Any, residual: Tensor, values: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(scale)
        return torch.addcmul(residual, values, scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        (scale,) = ctx.saved_tensors
        return gradient, gradient * scale, None


def dropout_scale(like: Tensor, probability: float) -> Tensor:
    """Draw a dropout mask in the shape and dtype of `like`: 0 with `probability`, else 1 / (1 - probability).

    On the CPU the probability is rounded to 1 / 65,536, in bf16 to what makes the scale a number of that dtype (0.3 to
    0.3005), so that the expectation is 1 in either. Four masks come from one 64-bit draw, and those from NumPy, which
    takes half as long as PyTorch; `torch.nn.functional.dropout` takes twenty times as long.
    """
    if like.device.type != "cpu":
        scale = torch.empty_like(like)
        return scale.bernoulli_(1.0 - probability).div_(1.0 - probability)
    kept_scale = 1.0 / (1.0 - probability)
    if like.dtype == torch.bfloat16:
        kept_scale = float(torch.tensor(kept_scale, dtype=torch.bfloat16))
    dropped = round((1.0 - 1.0 / kept_scale) * _LEVELS)
    # In place: to a tensor of booleans, and from there to numbers, it takes ten times as long.
    kept = _random_int16(like.numel()).view(like.shape).ge_(dropped - _LEVELS // 2)
    if like.dtype == torch.bfloat16:
        return kept.mul_(int(torch.tensor(kept_scale, dtype=torch.bfloat16).view(torch.int16))).view(torch.bfloat16)
    return kept.to(like.dtype).mul_(_LEVELS / (_LEVELS - dropped))


def _random_int16(count: int) -> Tensor:
    """Draw `count` numbers over the whole range of int16, on the CPU, from the state of PyTorch's generator."""
    draws = (count + 3) // 4
    if torch.compiler.is_compiling():
        numbers = torch.empty(draws, dtype=torch.int64).random_(-(2**63), None)
    else:
        generator = np.random.SFC64(int(torch.randint(2**63 - 1, ())))
        numbers = torch.from_numpy(generator.random_raw(draws).view(np.int64))
    return numbers.view(torch.int16)[:count]
