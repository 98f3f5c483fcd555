"""Decoding step by step against attention over the whole sequence, and the memory that it moves."""

import pytest
import torch
from torch import Tensor

from translator.attention import Ancestry, DenseMemory, KeyValueCache, Layout, attend
from translator.attention.cache import gathered, memory_layout
from translator.attention.kernels import attend_dense

HEADS, WIDTH = 4, 8


@pytest.mark.parametrize("copies", [1, 5])
def test_steps_with_a_cache_equal_causal_attention_over_each_past(copies: int) -> None:
    """Hypotheses multiply, are reordered and leave; each sees what a sentence of its own past sees.

    The cache grows several times, and with `copies` of all sentences another kernel is used.
    """
    torch.manual_seed(3)
    sentences, layers = 3 * copies, 2
    cache = KeyValueCache.empty(torch.zeros(()), sentences, layers, HEADS, WIDTH)
    ancestry = Ancestry.empty(cache.grid, sentences)
    # The projected states behind every hypothesis of every sentence, as a plain list.
    pasts: list[list[list[Tensor]]] = [[[]] for _ in range(sentences)]
    for step in range(12):
        states = torch.randn(len(pasts), len(pasts[0]), layers, 3, HEADS, WIDTH)
        ancestry.append()
        slots = cache.append(states.size(1))
        found = []
        for layer in range(layers):
            query, key, value = states[:, :, layer].permute(2, 0, 3, 1, 4)  # [N, H, K, D]
            slots[layer].room.copy_(torch.stack([key, value], dim=1))
            found.append(attend_dense(query, slots[layer].key, slots[layer].value, ancestry.bias))
        output = torch.stack(found).permute(1, 3, 0, 2, 4)  # [N, K, layers, H, D]
        for sentence, row in enumerate(pasts):
            for place, past in enumerate(row):
                past.append(states[sentence, place])
                layout = Layout(torch.tensor([0, len(past)], dtype=torch.int32), len(past))
                for layer in range(layers):
                    query, key, value = torch.stack(past)[:, layer].unbind(1)
                    whole = attend(query, key, value, layout, layout, causal=True)
                    torch.testing.assert_close(output[sentence, place, layer], whole[-1])
        width = 5 if step < 8 else 2
        parents = torch.randint(len(pasts[0]), (len(pasts), width))
        keep = None if step % 3 else torch.randperm(len(pasts))[: max(2, len(pasts) - 2)]
        parents = parents if keep is None else parents[keep]
        ancestry = ancestry.select(keep, parents)
        cache = cache if keep is None else cache.select(keep)
        old = pasts if keep is None else [pasts[sentence] for sentence in keep.tolist()]
        pasts = [[list(row[parent]) for parent in chosen] for row, chosen in zip(old, parents.tolist(), strict=True)]


def test_memory_on_a_grid_is_that_of_packed_sentences() -> None:
    torch.manual_seed(5)
    layout = Layout(torch.tensor([0, 4, 6, 23], dtype=torch.int32), 17)
    wide = memory_layout(layout)
    projected = torch.randn(23, 2, 2, HEADS, WIDTH)
    memory = DenseMemory.of(projected.index_select(0, wide.rows), wide).select(torch.tensor([2, 1]))
    query = torch.randn(2, 3, HEADS, WIDTH)  # two sentences, three hypotheses
    rows = torch.cat([torch.arange(6, 23), torch.arange(4, 6)])
    key, value = projected[rows, 1].unbind(1)
    memories = Layout(torch.tensor([0, 17, 19], dtype=torch.int32), 17)
    queries = Layout(torch.tensor([0, 3, 6], dtype=torch.int32), 3)
    expected = attend(query.flatten(0, 1), key, value, queries, memories)
    found = attend_dense(query.transpose(1, 2), *memory.layers[1], memory.bias)
    torch.testing.assert_close(found.transpose(1, 2).flatten(0, 1), expected)


@pytest.mark.parametrize("rows", [[0, 1, 2], [0, 4, 2], [4, 3, 2, 1, 0], [3], [1, 2, 3, 4]])
def test_gathered_rows_are_those_asked_for(rows: list[int]) -> None:
    grid = torch.arange(10.0).view(5, 2)
    expected = grid[rows]
    assert torch.equal(gathered(grid, torch.tensor(rows)), expected)
