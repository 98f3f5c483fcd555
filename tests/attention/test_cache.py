"""Decoding step by step against attention over the whole sequence."""

import torch
from torch import Tensor

from translator.attention import Ancestry, KeyValueCache, Layout, MultiHeadAttention


def test_steps_with_a_cache_equal_causal_attention_over_each_past() -> None:
    """Hypotheses multiply, are reordered and leave; each sees what a sentence of its own past sees."""
    torch.manual_seed(3)
    attention = MultiHeadAttention(16, 4)
    ancestry, cache = Ancestry(), KeyValueCache.empty(torch.zeros(()), sentences=3, heads=4, capacity=20, head_dim=4)
    # The states behind every hypothesis of every sentence, as a plain list.
    pasts: list[list[list[Tensor]]] = [[[]] for _ in range(3)]
    choices = [
        (None, [[0, 0, 0], [0, 0, 0], [0, 0, 0]]),
        (None, [[2, 0, 0], [0, 1, 2], [1, 1, 1]]),
        ([0, 2], [[1, 2, 2], [2, 1, 0]]),
        (None, [[0, 1], [2, 2]]),
        ([1], [[1, 0]]),
        (None, [[0, 0]]),
    ]
    for sentences, parents in choices:
        states = torch.randn(len(pasts), len(pasts[0]), 16)
        ancestry.append(cache.key, states.size(1))
        found = attention.step_to_itself(states, cache, ancestry)
        for sentence, row in enumerate(pasts):
            for place, past in enumerate(row):
                past.append(states[sentence, place])
                layout = Layout(torch.tensor([0, len(past)], dtype=torch.int32), len(past))
                whole = attention.attend_to_itself(torch.stack(past), layout, causal=True)
                torch.testing.assert_close(found[sentence, place], whole[-1])
        kept = None if sentences is None else torch.tensor(sentences)
        ancestry = ancestry.select(kept, torch.tensor(parents))
        cache = cache if kept is None else cache.select(kept)
        old = pasts if sentences is None else [pasts[sentence] for sentence in sentences]
        pasts = [[list(row[parent]) for parent in chosen] for row, chosen in zip(old, parents, strict=True)]


def test_a_single_hypothesis_needs_no_bias() -> None:
    ancestry = Ancestry()
    for _ in range(3):
        ancestry.append(torch.zeros(2), 1)
        ancestry = ancestry.select(torch.tensor([1, 0]), torch.zeros(2, 1, dtype=torch.int64))
    assert ancestry.bias is None
    assert ancestry.length == 3


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
