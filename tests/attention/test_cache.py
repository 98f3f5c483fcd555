"""Decoding step by step against attention over the whole sequence."""

import torch

from translator.attention import KeyValueCache, Layout, MultiHeadAttention


def test_steps_with_a_cache_equal_causal_attention() -> None:
    torch.manual_seed(3)
    attention = MultiHeadAttention(16, 4)
    rows, length = 3, 6
    states = torch.randn(rows, length, 16)
    layout = Layout(torch.arange(0, rows * length + 1, length, dtype=torch.int32), length)
    whole = attention.attend_to_itself(states.flatten(0, 1), layout, causal=True).view(rows, length, 16)
    cache = KeyValueCache.empty(states, rows, 4, length, 4)
    for position in range(length):
        step = attention.step_to_itself(states[:, position : position + 1], cache)
        torch.testing.assert_close(step[:, 0], whole[:, position])


def test_selected_rows_continue_their_parents() -> None:
    torch.manual_seed(4)
    cache = KeyValueCache.empty(torch.zeros(()), rows=4, heads=2, capacity=5, head_dim=3)
    for _ in range(2):
        cache.append(torch.randn(4, 2, 3), torch.randn(4, 2, 3))
    chosen = cache.select(torch.tensor([3, 3, 0]))
    assert torch.equal(chosen.key[:, :, :2], cache.key[[3, 3, 0], :, :2])
    assert torch.equal(chosen.value[:, :, :2], cache.value[[3, 3, 0], :, :2])
    keys, _ = chosen.append(torch.ones(3, 2, 3), torch.ones(3, 2, 3))
    assert keys.shape == (3, 2, 3, 3) and cache.length == 2


def test_hypotheses_of_a_sentence_share_one_memory() -> None:
    torch.manual_seed(5)
    attention = MultiHeadAttention(16, 4)
    memory_layout = Layout(torch.tensor([0, 4, 6], dtype=torch.int32), 4)
    memory = torch.randn(6, 16)
    dense = attention.dense_memory(memory, memory_layout)
    assert dense.key.shape[0] == 2
    states = torch.randn(2, 3, 16)  # two sentences, three hypotheses
    query_layout = Layout(torch.tensor([0, 3, 6], dtype=torch.int32), 3)
    projected = attention.project_memory(memory, memory_layout)
    expected = attention.attend_to_memory(states.flatten(0, 1), query_layout, projected)
    torch.testing.assert_close(attention.step_to_memory(states, dense).flatten(0, 1), expected)
