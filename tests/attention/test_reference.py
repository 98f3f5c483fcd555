"""MultiHeadAttention and its kernels against torch.nn.MultiheadAttention with the same weights."""

import pytest
import torch
from torch import Tensor, nn

from translator.attention import Layout, MultiHeadAttention, Projected, attend, attention_weights

D_MODEL, HEADS = 32, 4
LENGTHS = [5, 1, 9, 4]
MEMORY_LENGTHS = [3, 7, 2, 8]


def layout_of(lengths: list[int]) -> Layout:
    offsets = torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)
    return Layout(offsets, max(lengths))


def unpacked(packed: Tensor, lengths: list[int]) -> Tensor:
    return nn.utils.rnn.pad_sequence(list(packed.split(lengths)), batch_first=True)


def same_weights(ours: MultiHeadAttention) -> nn.MultiheadAttention:
    theirs = nn.MultiheadAttention(D_MODEL, HEADS, batch_first=True)
    with torch.no_grad():
        nn.init.normal_(ours.input_bias)
        nn.init.normal_(ours.output.bias)
        theirs.in_proj_weight.copy_(ours.input_weight)
        theirs.in_proj_bias.copy_(ours.input_bias)
        theirs.out_proj.weight.copy_(ours.output.weight)
        theirs.out_proj.bias.copy_(ours.output.bias)
    return theirs


def padding(lengths: list[int]) -> Tensor:
    return torch.arange(max(lengths))[None] >= torch.tensor(lengths)[:, None]


@pytest.mark.parametrize("use", ["self", "causal", "cross"])
def test_outputs_weights_and_gradients_equal_torch(use: str) -> None:
    torch.manual_seed(1)
    ours = MultiHeadAttention(D_MODEL, HEADS)
    theirs = same_weights(ours)
    layout, memory_layout = layout_of(LENGTHS), layout_of(MEMORY_LENGTHS)
    states = torch.randn(sum(LENGTHS), D_MODEL, requires_grad=True)
    memory = torch.randn(sum(MEMORY_LENGTHS), D_MODEL, requires_grad=True)
    if use == "cross":
        projected = ours.project_memory(memory, memory_layout)
        query = ours.project_query(states)
        output = ours.attend_to_memory(states, layout, projected)
    else:
        memory, memory_layout = states, layout
        query, key, value = ours.project_all(states)
        projected = Projected(key, value, layout)
        output = ours.attend_to_itself(states, layout, causal=use == "causal")
    memory_lengths = MEMORY_LENGTHS if use == "cross" else LENGTHS
    causal_mask = torch.ones(max(LENGTHS), max(LENGTHS), dtype=torch.bool).triu(1) if use == "causal" else None
    expected, expected_weights = theirs(
        unpacked(states, LENGTHS),
        unpacked(memory, memory_lengths),
        unpacked(memory, memory_lengths),
        key_padding_mask=padding(memory_lengths),
        attn_mask=causal_mask,
        average_attn_weights=False,
    )
    real = ~padding(LENGTHS)
    torch.testing.assert_close(output, expected[real])
    weights = attention_weights(query, projected.key, layout, memory_layout, causal=use == "causal")
    torch.testing.assert_close(
        weights.transpose(1, 2)[real], expected_weights.transpose(1, 2)[real], atol=1e-6, rtol=1e-5
    )

    upstream = torch.randn_like(output)
    inputs = [states] if use != "cross" else [states, memory]
    found = torch.autograd.grad(output, [*inputs, *ours.parameters()], upstream)
    wanted = torch.autograd.grad(expected[real], [*inputs, *theirs.parameters()], upstream)
    for mine, reference in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("causal", [False, True])
def test_weights_times_values_are_what_the_kernel_returns(causal: bool) -> None:
    torch.manual_seed(2)
    layout = layout_of(LENGTHS)
    query, key, value = torch.randn(3, sum(LENGTHS), HEADS, 8).unbind(0)
    weights = attention_weights(query, key, layout, layout, causal)
    real = ~padding(LENGTHS)
    torch.testing.assert_close(weights.sum(-1).transpose(1, 2)[real], torch.ones(sum(LENGTHS), HEADS))
    hidden = padding(LENGTHS)[:, None, None, :].expand_as(weights)
    assert (weights[hidden] == 0).all()
    if causal:
        assert (weights.triu(1) == 0).all()
    values = unpacked(value, LENGTHS).transpose(1, 2)  # [N, H, L, D]
    output = attend(query, key, value, layout, layout, causal)
    torch.testing.assert_close(output, (weights @ values).transpose(1, 2)[real])


def test_scores_beyond_the_range_of_exp_do_not_overflow() -> None:
    layout = layout_of([3, 2])
    query = torch.tensor([400.0, -400.0, 1.0, 300.0, 0.0]).view(5, 1, 1).expand(5, 1, 8).contiguous()
    key = torch.tensor([1.0, 2.0, -1.0, 1.0, 0.5]).view(5, 1, 1).expand(5, 1, 8).contiguous()
    value = torch.randn(5, 1, 8)
    weights = attention_weights(query, key, layout, layout)
    output = attend(query, key, value, layout, layout)
    expected = torch.cat([weights[0, 0, :3, :3] @ value[:3, 0], weights[1, 0, :2, :2] @ value[3:, 0]])
    torch.testing.assert_close(output[:, 0], expected)


def test_gradients_with_dropout_and_empty_sentences_agree_with_finite_differences() -> None:
    offsets = torch.tensor([0, 3, 3, 5], dtype=torch.int32)
    layout = Layout(offsets, 3)
    query, key, value = (torch.randn(5, 2, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))

    def run(*inputs: Tensor) -> Tensor:
        torch.manual_seed(7)
        return attend(*inputs, layout, layout, causal=True, dropout=0.4)

    assert torch.autograd.gradcheck(run, (query, key, value))
    torch.manual_seed(7)
    assert not torch.equal(run(query, key, value), attend(query, key, value, layout, layout, causal=True))


def test_head_dim_is_free() -> None:
    attention = MultiHeadAttention(d_model=12, num_heads=5, head_dim=7)
    layout = layout_of([4, 2])
    assert attention.attend_to_itself(torch.randn(6, 12), layout).shape == (6, 12)
    assert attention.input_weight.shape == (3 * 35, 12)
