"""Matrix products with 8-bit weights, on the CPU, by the kernels of oneDNN that `torch.compile` uses too.

Each row of a weight has a scale of its own, and so has each row of states when it is multiplied: what becomes of a
hypothesis does not depend on its neighbours, as it would with one scale for a batch.

Legend: `R` rows, `inner`, `outer` columns before and after the product.
"""

from functools import partial

import torch
from torch import Tensor

from translator.errors import ConfigError
from translator.model.linear import LARGE, Linear, MakeLinear, PlainLinear, cpu_linear
from translator.runtime.device import Machine

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
