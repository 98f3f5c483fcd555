"""Decoding step by step against attention over the whole sequence, and the sentences that caches move."""

import pytest
import torch
from torch import Tensor

from translator.attention import Layout, attend
from translator.attention.kernels import attend_dense
from translator.inference import Ancestry, DenseMemory, KeyValueCache
from translator.inference.cache import Workspace

HEADS, WIDTH, LAYERS = 4, 8, 2


def memory_of(lengths: list[int], workspace: Workspace) -> tuple[DenseMemory, Tensor]:
    """The memory of sentences, and the keys and values `[T, LAYERS, 2, HEADS, WIDTH]` that it is made of."""
    offsets = torch.tensor([0, *lengths]).cumsum(0).int()
    projected = torch.randn(int(offsets[-1]), LAYERS, 2, HEADS, WIDTH)
    indices = torch.arange(len(projected), dtype=torch.float32)[:, None]  # instead of states
    layers = [lambda cells, layer=layer: projected[cells[:, 0].long(), layer].flatten(1) for layer in range(LAYERS)]
    return DenseMemory.of(indices, Layout(offsets, max(lengths)), layers, [HEADS] * LAYERS, workspace), projected


@pytest.mark.parametrize("copies", [1, 5])
@pytest.mark.parametrize("width", [1, 5])
def test_steps_with_a_cache_equal_causal_attention_over_each_past(copies: int, width: int) -> None:
    """Hypotheses multiply, are reordered and leave; each sees what a sentence of its own past sees.

    With `copies` of all sentences another kernel is used. The second batch finds what the first left in the workspace.
    """
    torch.manual_seed(3)
    workspace, steps = Workspace(), 25
    for _ in range(2):
        memory, _ = memory_of([1] * 3 * copies, workspace)
        cache = KeyValueCache.next_to(memory, [HEADS] * LAYERS, steps, width, workspace)
        ancestry = Ancestry.empty(memory.grids[0], 3 * copies)
        # The projected states that every hypothesis of every sentence has passed, as a plain list.
        pasts: list[list[list[Tensor]]] = [[[]] for _ in range(3 * copies)]
        for step in range(steps):
            states = torch.randn(len(pasts), len(pasts[0]), LAYERS, 3, HEADS, WIDTH)
            layers = cache.append(ancestry)
            found = []
            for layer, own in enumerate(layers):
                query, *keys_values = states[:, :, layer].permute(2, 0, 3, 1, 4)  # [N, H, K, D]
                own.put(torch.stack(keys_values))
                found.append(attend_dense(query, own.key, own.value, ancestry.bias))
            output = torch.stack(found).permute(1, 3, 0, 2, 4)  # [N, K, layers, H, D]
            for sentence, row in enumerate(pasts):
                for hypothesis, past in enumerate(row):
                    past.append(states[sentence, hypothesis])
                    layout = Layout(torch.tensor([0, len(past)], dtype=torch.int32), len(past))
                    for layer in range(LAYERS):
                        whole = attend(*torch.stack(past)[:, layer].unbind(1), layout, layout, causal=True)
                        torch.testing.assert_close(output[sentence, hypothesis, layer], whole[-1])
            parents = torch.randint(len(pasts[0]), (len(pasts), width if step < 20 else min(width, 2)))
            keep = None if step % 7 else torch.randperm(len(pasts))[: max(2, len(pasts) - 2)]
            parents = parents if keep is None else parents[keep]
            ancestry = ancestry.select(keep, parents)
            cache = cache if keep is None else cache.select(keep)
            old = pasts if keep is None else [pasts[sentence] for sentence in keep.tolist()]
            pasts = [
                [list(row[parent]) for parent in chosen] for row, chosen in zip(old, parents.tolist(), strict=True)
            ]


def test_slots_that_no_hypothesis_sees_are_given_out_again() -> None:
    ancestry = Ancestry.empty(torch.zeros(()), 2)
    ancestry.append()
    ancestry = ancestry.select(None, torch.zeros(2, 5, dtype=torch.int64))
    for _ in range(30):
        ancestry.append()
        # All continue the first, so that 4 of 5 slots are lost.
        ancestry = ancestry.select(None, torch.zeros(2, 5, dtype=torch.int64))
    assert (ancestry.bias == 0).sum(-1).unique().tolist() == [31]
    assert ancestry.bias.size(-1) == 48
    for _ in range(30):
        ancestry.append()
    assert ancestry.bias.size(-1) == 192


@pytest.mark.parametrize(("steps", "width"), [(1, 4), (7, 3), (30, 5), (16, 1), (3, 16)])
def test_there_is_room_if_every_slot_is_seen(steps: int, width: int) -> None:
    memory, _ = memory_of([3], Workspace())
    cache = KeyValueCache.next_to(memory, [HEADS] * LAYERS, steps, width, Workspace())
    ancestry = Ancestry.empty(memory.grids[0], 1)
    for step in range(steps):
        cache.append(ancestry)
        if step == 0:
            ancestry = ancestry.select(None, torch.zeros(1, width, dtype=torch.int64))
    assert (ancestry.bias == 0).sum(-1).unique().tolist() == [steps]


def test_attention_to_memory_on_a_grid_equals_that_to_packed_memory() -> None:
    torch.manual_seed(5)
    memory, projected = memory_of([4, 2, 17], Workspace())
    memory = memory.select(torch.tensor([2, 1]))
    query = torch.randn(2, 3, HEADS, WIDTH)  # two sentences, three hypotheses
    rows = torch.cat([torch.arange(6, 23), torch.arange(4, 6)])
    memories = Layout(torch.tensor([0, 17, 19], dtype=torch.int32), 17)
    queries = Layout(torch.tensor([0, 3, 6], dtype=torch.int32), 3)
    for layer in range(LAYERS):
        expected = attend(query.flatten(0, 1), *projected[rows, layer].unbind(1), queries, memories)
        found = attend_dense(query.transpose(1, 2), *memory.layers[layer], memory.bias)
        torch.testing.assert_close(found.transpose(1, 2).flatten(0, 1), expected)


@pytest.mark.parametrize("rows", [[0, 1, 2], [0, 4, 2], [4, 3, 2, 1, 0], [3], [1, 2, 3, 4]])
def test_the_sentences_that_are_kept_are_those_asked_for(rows: list[int]) -> None:
    memory, projected = memory_of([1, 1, 1, 1, 1], Workspace())
    for layer, (key, value) in enumerate(memory.select(torch.tensor(rows)).layers):
        found = torch.stack([key[:, :, 0], value[:, :, 0]], dim=1)  # [N, 2, H, D]
        assert torch.equal(found, projected[rows, layer])
