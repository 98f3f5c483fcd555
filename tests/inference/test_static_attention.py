"""Attention in tensors of fixed address: against attention over the whole sequence, and what the tensors promise."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from translator.attention import Layout, MultiHeadAttention
from translator.inference.static_decoder import StaticTensor, round_up, step_to_static_cache, step_to_static_memory


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


@torch.inference_mode()
def test_steps_equal_attention_over_the_whole_past_and_the_whole_memory() -> None:
    torch.manual_seed(3)
    attention = MultiHeadAttention(16, 4)
    layout = Layout(torch.tensor([0, 5, 10], dtype=torch.int32), 5)
    states = torch.randn(10, 16)
    expected = attention.attend_to_itself(states, layout, causal=True)
    # Slots behind those that are filled hold large numbers, which nobody may see.
    keys, values = (torch.full((2, 4, 8, 4), 1e6) for _ in range(2))
    bias = torch.full((2, 1, 1, 8), -math.inf)
    grid = states.view(2, 5, 16)
    for step in range(5):
        bias[..., step] = 0.0
        found = step_to_static_cache(attention, grid[:, step : step + 1], keys, values, torch.tensor([step]), bias)
        torch.testing.assert_close(found[:, 0], expected.view(2, 5, 16)[:, step])
    projected = attention.project_memory(states, layout)
    whole = attention.attend_to_memory(states, layout, projected)
    keys[:, :, :5] = projected.key.view(2, 5, 4, 4).transpose(1, 2)
    values[:, :, :5] = projected.value.view(2, 5, 4, 4).transpose(1, 2)
    found = step_to_static_memory(attention, grid, keys, values, bias)
    torch.testing.assert_close(found, whole.view(2, 5, 16))
