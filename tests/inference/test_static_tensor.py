"""What tensors of fixed address promise."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from translator.inference.static_tensor import StaticTensor, round_up


@given(size=st.integers(1, 5000), unit=st.sampled_from([1, 32, 160]))
def test_sizes_are_few_and_not_much_too_large(size: int, unit: int) -> None:
    rounded = round_up(size, unit)
    assert size <= rounded and rounded % unit == 0
    assert rounded < 1.5 * size + unit
    assert round_up(rounded, unit) == rounded


def test_sizes_are_those_of_the_description() -> None:
    assert sorted({round_up(size, 1) for size in range(1, 40)}) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48]
    assert sorted({round_up(size, 32) for size in range(1, 300)}) == [32, 64, 96, 128, 192, 256, 384]


def test_a_shape_always_means_the_same_addresses() -> None:
    tensor = StaticTensor(torch.float32, torch.device("cpu"))
    assert tensor.reserve(4, 6)
    tensor.fill(1.0, 4, 5)
    address = tensor.now.data_ptr()
    tensor.put(tensor.now[:2].clone(), (2, 7), fill=-1.0)
    assert tensor.now.tolist() == [[1.0] * 5 + [-1.0] * 2] * 2
    assert not tensor.reserve(4, 8)
    tensor.put(torch.zeros(3, 8))
    assert tensor.now.tolist() == [[0.0] * 8] * 3
    assert tensor.now.data_ptr() == address
    assert tensor.now.is_contiguous()
    assert tensor.reserve(4, 100)
