"""The packed layout and what is derived from its offsets."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from translator.attention import pack
from translator.attention.padded import to_grid, to_packed

sentences = st.lists(st.lists(st.integers(3, 40), max_size=9), min_size=1, max_size=8)


@given(sentences)
def test_grid_and_back_is_the_identity(lists: list[list[int]]) -> None:
    batch = pack(lists)
    values = batch.tokens.double().view(-1, 1, 1).expand(-1, 2, 3)
    if not len(values):
        return
    grid = to_grid(values, batch.layout)
    assert torch.equal(to_packed(grid, batch.layout), values)
    for index, sentence in enumerate(lists):
        assert grid[index, 1, : len(sentence), 2].tolist() == sentence


@given(sentences)
def test_parts_and_repetitions_are_batches_of_their_own(lists: list[list[int]]) -> None:
    batch, middle = pack(lists), len(lists) // 2
    for found, expected in (
        (batch.twice(), pack([*lists, *lists])),
        (batch.sentences(slice(0, middle)), pack(lists[:middle])),
        (batch.sentences(slice(middle, len(lists))), pack(lists[middle:])),
    ):
        assert found.tokens.equal(expected.tokens) and found.layout.offsets.equal(expected.layout.offsets)
        assert found.layout.max_length == expected.layout.max_length


@given(sentences)
def test_positions_count_from_zero_in_every_sentence(lists: list[list[int]]) -> None:
    tokens, layout = pack(lists)
    assert layout.positions(len(tokens)).tolist() == [
        position for sentence in lists for position in range(len(sentence))
    ]
    assert layout.lengths.tolist() == [len(sentence) for sentence in lists]
    assert layout.max_length == max(map(len, lists))
