"""The grid of the CPU: there and back, and attention on it against the padded kernel of all devices."""

import pytest
import torch

from translator.attention import Layout, padded
from translator.attention.padded import to_grid


def layout_of(lengths: list[int]) -> Layout:
    offsets = torch.tensor([0, *lengths]).cumsum(0).int()
    return Layout(offsets, max(lengths))


@pytest.mark.parametrize("lengths", [[3, 1, 5], [4, 4], [2, 0, 3], [3] * 70])
@pytest.mark.parametrize("parts", [1, 3])
def test_tokens_come_back_from_the_grid(lengths: list[int], parts: int) -> None:
    layout, heads, width = layout_of(lengths), 2, 4
    packed = torch.randn(sum(lengths), parts, heads, width)[:, -1]
    grid = layout.grid
    spread = grid.spread(packed)
    assert spread.shape == (grid.sentences, heads, grid.length, width)
    plain = to_grid(packed, layout).masked_fill(~layout.mask[:, None, :, None], 0.0)
    cleared = grid.clear_pads(spread.clone())
    assert torch.equal(cleared[: len(lengths), :, : max(lengths)], plain)
    assert cleared.count_nonzero() == plain.count_nonzero()
    assert torch.equal(grid.collect(spread), packed)


def test_many_sentences_have_few_shapes() -> None:
    shapes = {(g.sentences, g.length) for g in (layout_of([5] * n + [n % 3 + 5]).grid for n in range(79, 95))}
    assert shapes == {(80, 8), (96, 8)}
    assert (layout_of([3]).grid.sentences, layout_of([3]).grid.length) == (1, 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_on_it_is_that_of_the_padded_kernel(causal: bool, dtype: torch.dtype) -> None:
    queries = layout_of([3, 1, 6] * 30)
    keys = queries if causal else layout_of([2, 7, 1] * 30)
    torch.manual_seed(1)
    query = torch.randn(queries.offsets[-1], 2, 8, dtype=dtype, requires_grad=True)
    key, value = torch.randn(2, keys.offsets[-1], 2, 8, dtype=dtype, requires_grad=True).unbind()
    results = []
    for function in (padded._PaddedAttention, padded._PaddedAttentionOnCPU):
        output = function.apply(query, key, value, queries, keys, causal, 0.0)
        torch.manual_seed(3)
        gradients = torch.autograd.grad(output, (query, key, value), torch.randn(output.shape).to(dtype))
        results.append((output, *gradients))
    exact = dtype == torch.float32
    for found, wanted in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5 if exact else 2e-2, atol=1e-5 if exact else 5e-2)
