"""The matrix products of translation against PyTorch's."""

import pytest
import torch
from torch.nn import functional

from translator.inference.linear import LARGE, PackedLinear, PlainLinear, choose_linear, cpu_linear
from translator.runtime.device import Machine

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="needs oneDNN")


@pytest.mark.parametrize("kind", [PlainLinear, PackedLinear])
@pytest.mark.parametrize("rows", [1, 5, 70])
@pytest.mark.parametrize("has_bias", [True, False])
def test_products_are_those_of_functional_linear(kind: type, rows: int, has_bias: bool) -> None:
    torch.manual_seed(1)
    states, weight = torch.randn(rows, 48), torch.randn(100, 48)
    bias = torch.randn(100) if has_bias else None
    torch.testing.assert_close(
        kind(weight, bias)(states), functional.linear(states, weight, bias), rtol=1e-4, atol=1e-4
    )


def test_half_precision_is_that_of_autocast() -> None:
    torch.manual_seed(1)
    states, weight, bias = torch.randn(5, 48), torch.randn(100, 48), torch.randn(100)
    with torch.autocast("cpu", torch.bfloat16):
        expected = functional.linear(states, weight, bias)
    assert torch.equal(PlainLinear(weight, bias, torch.bfloat16)(states), expected)


def test_large_weights_are_packed_and_small_ones_shared() -> None:
    large, small = torch.randn(LARGE // 64, 64), torch.randn(8, 64)
    assert isinstance(cpu_linear(large, None), PackedLinear)
    plain = cpu_linear(small, None)
    assert isinstance(plain, PlainLinear)
    assert plain.weight.data_ptr() == small.data_ptr()


def test_the_machine_decides_what_multiplies() -> None:
    weight = torch.randn(8, 64)
    exact, rough = (choose_linear(Machine(torch.device("cpu"), name))(weight, None) for name in ("fp32", "bf16"))
    assert isinstance(exact, PlainLinear) and exact.weight.data_ptr() == weight.data_ptr()
    assert isinstance(rough, PlainLinear) and rough.weight.dtype == torch.bfloat16
