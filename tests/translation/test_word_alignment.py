"""Links that are read off a head: of a model whose heads look where we told them to."""

import dataclasses
from itertools import accumulate
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.attention import pack
from translator.attention.padded import to_grid, to_packed
from translator.checkpoints import Bundle, load_bundle
from translator.model import Transformer, build_model
from translator.translation.word_alignment import AlignmentHead, attention_aligner, layer_weights, pharaoh, word_links

DIAGONAL, FIRST = AlignmentHead(2, 1), AlignmentHead(1, 2)
TAG = 7


@pytest.fixture(scope="module")
def tiny_bundle(tiny_run: Path) -> Bundle:
    return load_bundle(tiny_run, device="cpu")


@pytest.fixture
def bundle(tiny_run: Path) -> Bundle:
    """The tiny run, with a tag in its vocabulary that no text becomes."""
    loaded = load_bundle(tiny_run, device="cpu")
    loaded.tokenizers.source.__dict__["tags"] = {"de": TAG}
    return loaded


def told_to_look(bundle: Bundle, norm: str) -> Bundle:
    """A model that knows nothing but places: `DIAGONAL` looks at its own, `FIRST` at the first, others anywhere."""
    shape = {"d_model": 32, "head_dim": 32, "num_heads": 2, "decoder_layers": 2, "norm": norm, "dropout": 0.0}
    settings = bundle.config.model.model_copy(update=shape)
    model = build_model(settings, 320, 320, seed=1).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if not name.endswith("norm.weight"):
                weight.zero_()
        for head in (DIAGONAL, FIRST):
            attention = model.decoder_layers[head.layer - 1].cross_attention  # type: ignore[union-attr]
            query, key, _ = attention.input_weight.view(3, 2, 32, 32)[:, head.head - 1]
            key.copy_(torch.eye(32))
            if head == DIAGONAL:
                query.copy_(100 * torch.eye(32))
            else:
                first = model.source_embedding.positions(torch.tensor([0]))[0]
                attention.input_bias.view(3, 2, 32)[0, head.head - 1] = 100 * torch.layer_norm(first, (32,))
    config = bundle.config.model_copy(update={"model": settings})
    return dataclasses.replace(bundle, model=model, config=config)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_links_are_where_the_head_looks(bundle: Bundle, norm: str) -> None:
    made = told_to_look(bundle, norm)
    pairs = [([30, 31, 32, 33], [40, 41, 42]), ([30], [40]), ([30, 31], [40, 41]), ([50] * 30, [60] * 30)]
    assert attention_aligner(made, DIAGONAL)(pairs) == [[0, 1, 2], [0], [0, 1], list(range(30))]
    assert attention_aligner(made, FIRST)(pairs) == [[0, 0, 0], [0], [0, 0], [0] * 30]


def test_marks_and_tags_are_never_linked_to(bundle: Bundle) -> None:
    made = told_to_look(bundle, "post")
    # The fourth place is the end mark, the first one the tag.
    pairs = [([TAG, 30, 31], [40, 41, 42, 43]), ([30, 31, 32], [40, 41, 42, 43])]
    assert attention_aligner(made, DIAGONAL)(pairs) == [[1, 1, 2, 2], [0, 1, 2, 2]]
    assert attention_aligner(made, FIRST)(pairs) == [[1, 1, 1, 1], [0, 0, 0, 0]]


def test_without_pieces_there_are_no_links(bundle: Bundle) -> None:
    align = attention_aligner(bundle, AlignmentHead(1, 1))
    assert align([]) == []
    assert align([([], []), ([], [5]), ([TAG], [5, 6]), ([5], []), ([5], [6])]) == [[], [], [], [], [0]]


@given(st.data())
@settings(max_examples=15, deadline=None)
def test_links_are_the_same_alone_and_among_others(tiny_bundle: Bundle, data: st.DataObject) -> None:
    sides = st.lists(st.integers(3, 300), min_size=1, max_size=9)
    pairs = data.draw(st.lists(st.tuples(sides, sides), min_size=1, max_size=5))
    align = attention_aligner(tiny_bundle, AlignmentHead(1, 2))
    together = align(pairs)
    assert together == [align([pair])[0] for pair in pairs]
    for (source, target), links in zip(pairs, together, strict=True):
        assert len(links) == len(target)
        assert all(0 <= place < len(source) for place in links)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_the_weights_are_those_that_the_layer_uses(bundle: Bundle, norm: str) -> None:
    """Promise 5: weights times values, and all else that the layer does, is what the layer does."""
    model: Transformer = build_model(bundle.config.model.model_copy(update={"norm": norm}), 320, 320, seed=3).eval()
    source, target = pack([[5, 6, 7, 2], [9, 2], [8, 8, 8, 8, 8, 2]]), pack([[1, 20, 21], [1], [1, 22, 23, 24, 25]])
    with torch.inference_mode():
        memory, states = model.encode(source), model.target_embedding(target)
        layer, layouts = model.decoder_layers[0], (target.layout, source.layout)
        expected = layer(states, target.layout, memory, source.layout)
        weights = layer_weights(layer, states, target.layout, memory, source.layout)  # type: ignore[arg-type]
        cross = layer.cross_attention
        value = to_grid(cross.project_memory(memory, source.layout).value, source.layout)
        heads = to_packed(weights @ value, layouts[0]).flatten(-2)
        found = layer.self_residual(states, lambda x: layer.self_attention.attend_to_itself(x, layouts[0], causal=True))
        found = layer.cross_residual(found, lambda _: cross.output(heads))
        found = layer.feed_forward_residual(found, layer.feed_forward)
    torch.testing.assert_close(found, expected)


def pieces_of(words: list[list[str]]) -> list[str]:
    return [("\u2581" if not place else "") + piece for word in words for place, piece in enumerate(word)]


WORDS = st.lists(st.lists(st.sampled_from(["", "ab", "c", "."]), min_size=1, max_size=3), min_size=1, max_size=5)


@given(WORDS, WORDS, st.data())
@settings(max_examples=60, deadline=None)
def test_words_are_linked_where_their_pieces_are(
    source: list[list[str]], target: list[list[str]], data: st.DataObject
) -> None:
    source_pieces, target_pieces = pieces_of(source), pieces_of(target)
    places = st.integers(0, len(source_pieces) - 1)
    links = data.draw(st.lists(places, min_size=len(target_pieces), max_size=len(target_pieces)))
    found = word_links(source_pieces, target_pieces, links)
    begins = [list(accumulate(map(len, words), initial=0)) for words in (source, target)]
    expected = {
        (left, right)
        for left in range(len(source))
        for right in range(len(target))
        if any(
            begins[0][left] <= links[piece] < begins[0][left + 1]
            for piece in range(begins[1][right], begins[1][right + 1])
        )
    }
    assert found == sorted(expected)
    assert [tuple(map(int, link.split("-"))) for link in pharaoh(found).split()] == found


def test_a_first_piece_begins_a_word_whatever_it_looks_like() -> None:
    assert word_links(["a", "b", "\u2581c"], ["x", "\u2581y", "z"], [1, 2, 0]) == [(0, 0), (0, 1), (1, 1)]
    assert word_links(["\u2581a"], ["\u2581", "x"], []) == []
    assert pharaoh([]) == ""
