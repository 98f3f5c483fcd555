"""Matrix products for translation: a weight is brought once into the form that its kernel likes best.

Legend: `R` rows, `inner`, `outer` columns before and after the product.
"""

import copy
from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from translator.attention import MultiHeadAttention
from translator.errors import ConfigError
from translator.model.transformer import Transformer
from translator.runtime.device import Machine

LARGE = 1 << 17
"""Weights of at least so many numbers are worth a kernel of their own; below, what it costs to call it weighs more."""


class Linear(Protocol):
    """A matrix product plus a bias."""

    def __call__(self, states: Tensor) -> Tensor:
        """`[R, inner]` to `[R, outer]`."""
        ...


MakeLinear = Callable[[Tensor, Tensor | None], Linear]
"""From a weight `[outer, inner]` and a bias `[outer]`."""


class PlainLinear:
    """`Linear` by PyTorch's matrix product, in any precision; an fp32 weight is shared, not copied."""

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype = torch.float32) -> None:
        self.weight = weight.detach().to(dtype).t()
        self.bias = None if bias is None else bias.detach().to(dtype)
        self.dtype = dtype

    def __call__(self, states: Tensor) -> Tensor:
        states = states.to(self.dtype)
        if self.bias is None:
            return torch.mm(states, self.weight)
        return torch.addmm(self.bias, states, self.weight)


class PackedLinear:
    """`Linear` in fp32 on the CPU by oneDNN, with a copy of the weight in blocks: what `torch.compile` would choose.

    With 8,000 columns it is 1.2 times as fast as the plain product for hundreds of rows, and 2.3 times for five.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().float(), 64)
        self.bias = None if bias is None else bias.detach().float()

    def __call__(self, states: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(states, self.weight, self.bias, "none", [], "")


def cpu_linear(weight: Tensor, bias: Tensor | None) -> Linear:
    """The fastest fp32 product on the CPU for a weight of this size."""
    packs = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    return PackedLinear(weight, bias) if packs and weight.numel() >= LARGE else PlainLinear(weight, bias)


_SMALLEST = 1e-30


class Int8Linear:
    """`Linear` with symmetric 8-bit weights; sums, scales, bias and result are fp32."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        weight = weight.detach().float()
        self.scales = (weight.abs().amax(dim=1) / 127.0).clamp_(min=_SMALLEST)  # [outer]
        integers = (weight / self.scales[:, None]).round_().to(torch.int8)
        self.weight = torch.ops.onednn.qlinear_prepack(integers, None)
        self.zeros = torch.zeros(len(weight), dtype=torch.int32)
        self.bias = None if bias is None else bias.detach().float()
        self.largest = 127.0 if _adds_exactly() else 63.0

    def __call__(self, states: Tensor) -> Tensor:
        scales = states.abs().amax(dim=-1, keepdim=True).clamp_(min=_SMALLEST)  # [R, 1]
        # The kernel takes bytes without a sign, so that 0 lies at 128.
        integers = (states / scales).mul_(self.largest).add_(128.0).round_().to(torch.uint8)
        product = torch.ops.onednn.qlinear_pointwise(
            integers, 1.0 / self.largest, 128, self.weight, self.scales, self.zeros, None,
            1.0, 0, torch.float32, "none", [], "",
        ).mul_(scales)  # fmt: skip
        return product if self.bias is None else product.add_(self.bias)


def int8_linear(weight: Tensor, bias: Tensor | None) -> Linear:
    """A product in 8 bits, where the weight is so large that it is faster than fp32."""
    return Int8Linear(weight, bias) if weight.numel() >= LARGE else cpu_linear(weight, bias)


def choose_linear(machine: Machine, quantize: str = "none") -> MakeLinear:
    """Return the kind of matrix products for a machine: in its precision, or with `quantize` `int8` in 8 bits.

    Raises `ConfigError` where there are no 8-bit products.
    """
    on_cpu = machine.device.type == "cpu" and machine.precision == "fp32"
    if quantize == "none":
        return cpu_linear if on_cpu else partial(PlainLinear, dtype=machine.dtype)
    if not on_cpu:
        raise ConfigError([f"quantize: int8 is for the CPU in fp32, this is {machine}; set it to none"])
    if not hasattr(torch.ops.onednn, "qlinear_pointwise"):
        raise ConfigError(["quantize: this build of torch has no 8-bit products; set it to none"])
    return int8_linear


def _adds_exactly() -> bool:
    """Whether products of 8 bits by 8 bits are added in 32 bits (VNNI), not first in pairs that overflow 16."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_vnni") or capabilities.get("avx_vnni") or capabilities.get("amx_int8"))


def with_matrices_in(dtype: torch.dtype, model: Transformer) -> Transformer:
    """Return a copy for inference whose matrix products have weights of `dtype`; for fp32, the model itself.

    Under autocast it computes what the model does under autocast: embeddings and norms stay in fp32. Training the
    model further does not change the copy.
    """
    if dtype == torch.float32:
        return model
    copied = copy.deepcopy(model).requires_grad_(False)
    for module in copied.modules():
        if isinstance(module, nn.Linear | MultiHeadAttention):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.to(dtype)
    # By itself, since an embedding may use the same weight.
    copied.output_weight = nn.Parameter(copied.output_weight.to(dtype), requires_grad=False)
    return copied
