"""The recurrent cell against its formula, one token after the other."""

import pytest
import torch
from torch import Tensor

from translator.attention import Layout, pack
from translator.model.ssru import SSRU


def recur(cell: SSRU, sentence: Tensor) -> Tensor:
    """The outputs `[L, d_model]` of one sentence."""
    state, outputs = torch.zeros(sentence.shape[1]), []
    for token in sentence:
        forget = torch.sigmoid(cell.gate(token))
        state = forget * state + (1 - forget) * cell.update(token)
        outputs.append(torch.relu(state))
    return torch.stack(outputs) if outputs else sentence


@pytest.mark.parametrize("lengths", [[1], [5, 1, 8], [0, 3, 0, 17, 2], [16, 16]])
def test_values_and_gradients_are_those_of_the_recurrence(lengths: list[int]) -> None:
    torch.manual_seed(1)
    cell = SSRU(6)
    states = torch.randn(sum(lengths), 6, requires_grad=True)
    found = cell(states, pack([[3] * length for length in lengths]).layout)
    expected = torch.cat([recur(cell, sentence) for sentence in states.split(lengths)])
    torch.testing.assert_close(found, expected)
    upstream = torch.randn_like(found)
    parts = [states, *cell.parameters()]
    for mine, wanted in zip(*(torch.autograd.grad(x, parts, upstream) for x in (found, expected)), strict=True):
        torch.testing.assert_close(mine, wanted, atol=1e-5, rtol=1e-4)


def test_a_longer_limit_than_the_sentences_need_changes_nothing() -> None:
    cell, states = SSRU(6), torch.randn(8, 6)
    layout = pack([[3] * 5, [3] * 3]).layout
    torch.testing.assert_close(cell(states, Layout(layout.offsets, 257)), cell(states, layout))
