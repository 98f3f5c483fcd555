"""Alignments from a head are those that `translator translate` gives for the same head and sentences."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.inspection.made_up import made_up_maps
from translator.checkpoints import Bundle, load_bundle
from translator.config import Head
from translator.errors import ConfigError
from translator.inspection import inspect_sentence
from translator.inspection.links import alignment_of
from translator.translation import Translator
from translator.translation.word_alignment import AlignmentHead, attention_aligner, pharaoh, word_links

TAG = 7
SOURCES = [
    "a red dog sleeps.",
    "the woman reads in the blue house, on the street",
    "x",
    "Ünknöwn \u5c71 words!",
    "<2de> a cat",
]


@pytest.fixture
def loaded(tiny_run: Path) -> Bundle:
    """The tiny run with larger weights, so that its attention is not nearly uniform."""
    bundle = load_bundle(tiny_run, device="cpu")
    with torch.no_grad():
        bundle.model.attentions("cross")[0].input_weight.mul_(30.0)
    return bundle


@pytest.fixture(params=[False, True], ids=["plain", "tagged"])
def bundle(loaded: Bundle, request: pytest.FixtureRequest) -> Bundle:
    if not request.param:
        return loaded
    loaded.tokenizers.source.__dict__["tags"] = {"de": TAG}
    # As in the vocabulary of a run with tags.
    original = loaded.tokenizers.source.pieces
    loaded.tokenizers.source.__dict__["pieces"] = lambda ids: [
        "<2de>" if number == TAG else piece for number, piece in zip(ids, original(ids), strict=True)
    ]
    data = loaded.config.data.model_copy(update={"language_tags": True})
    return dataclasses.replace(loaded, config=loaded.config.model_copy(update={"data": data}))


def to_of(bundle: Bundle) -> str | None:
    return "de" if bundle.config.data.language_tags else None


@pytest.mark.parametrize("head", [1, 2])
@pytest.mark.parametrize("source", SOURCES)
def test_a_translation_is_aligned_as_translate_aligns_it(bundle: Bundle, head: int, source: str) -> None:
    translator, to = Translator(bundle), to_of(bundle)
    (line,) = translator.translate_in_detail([source], to=to, alignment=f"1.{head}")
    maps = inspect_sentence(translator, source, to=to)
    assert alignment_of(maps, Head("cross", 1, head)) == pharaoh(line.translations[0].alignment)
    assert line.translations[0].alignment


@pytest.mark.parametrize("source", SOURCES)
def test_a_given_target_is_aligned_as_the_aligner_does(bundle: Bundle, source: str) -> None:
    to, target = to_of(bundle), "the man runs, a child sleeps."
    tokenizers = bundle.tokenizers
    source_ids, target_ids = tokenizers.source.encode([source])[0], tokenizers.target.encode([target])[0]
    maps = inspect_sentence(Translator(bundle), source, target, to=to)
    found = []
    for number in (1, 2):
        (links,) = attention_aligner(bundle, AlignmentHead(1, number))([([TAG] * bool(to) + source_ids, target_ids)])
        pieces = tokenizers.source.pieces(source_ids), tokenizers.target.pieces(target_ids)
        expected = word_links(*pieces, [place - bool(to) for place in links])
        found.append(alignment_of(maps, Head("cross", 1, number)))
        assert found[-1] == pharaoh(expected)
    # The test would prove nothing if heads were alike.
    assert len(source.split()) == 1 or found[0] != found[1]


@pytest.mark.parametrize("tag", ["<2de>", ">>de<<", ">>cmn_Hans<<"])
def test_pieces_are_joined_to_words_and_marks_left_out(tag: str) -> None:
    maps = made_up_maps(tag=tag, alignment_head=Head("cross", 2, 1))
    weights = np.full((2, 5, 7), 0.01, dtype=np.float32)
    # Tag and end token have the largest weight everywhere; after them come run, s, dog, "." and, in the row of the end
    # token, A.
    weights[0, :, 0], weights[0, :, 6] = 0.4, 0.5
    weights[0, range(5), [3, 4, 2, 5, 1]] = 0.1
    maps = dataclasses.replace(maps, weights={**maps.weights, "cross": (weights[::-1], weights)})
    # Ein: run; Hund: the s of runs; renn and t: dog and the full stop that follows runs.
    assert alignment_of(maps) == "1-2 2-0 2-1 2-2"
    assert alignment_of(maps, Head("cross", 1, 2)) == alignment_of(maps)
    assert alignment_of(maps, Head("cross", 1, 1)) != alignment_of(maps)


def test_a_run_without_a_known_head_wants_a_name() -> None:
    maps = made_up_maps()
    with pytest.raises(ConfigError, match=re.escape("my_$run$ has learned no head for alignments; name a")):
        alignment_of(maps)
    with pytest.raises(ConfigError, match=r"found encoder\.1\.1, expected a head of the cross-attention"):
        alignment_of(maps, Head("encoder", 1, 1))
    with pytest.raises(ConfigError, match=r"cross\.3\.1 is not in"):
        alignment_of(maps, Head("cross", 3, 1))
