"""The maps of one sentence pair: its pieces, its translation, and the errors."""

import dataclasses
from pathlib import Path

import pytest

from translator.attention import pack
from translator.checkpoints import Bundle, load_bundle
from translator.config import KINDS, Head
from translator.errors import ConfigError, DataError
from translator.inspection import AttentionMaps, inspect_sentence
from translator.inspection.capture import teacher_forced_weights
from translator.translation import Translator

TAG = 7


@pytest.fixture
def loaded(tiny_run: Path) -> Bundle:
    return load_bundle(tiny_run, device="cpu")


@pytest.fixture
def translator(loaded: Bundle) -> Translator:
    return Translator(loaded)


def pieces(bundle: Bundle, side: str, text: str) -> tuple[str, ...]:
    return tuple(getattr(bundle.tokenizers, side).encode_pieces(text))


def check_shapes(maps: AttentionMaps) -> None:
    sizes = {"source": len(maps.source), "target": len(maps.target)}
    assert len(maps.predicted) == sizes["target"]
    for kind, rows, columns in (
        ("encoder", "source", "source"),
        ("decoder", "target", "target"),
        ("cross", "target", "source"),
    ):
        assert [layer.shape for layer in maps.weights[kind]] == [(2, sizes[rows], sizes[columns])]
        assert tuple(map(len, maps.labels(kind))) == (sizes[rows], sizes[columns])


def test_a_given_target_is_looked_at_as_it_is(translator: Translator) -> None:
    maps = inspect_sentence(translator, "a red dog sleeps.", "the house.\n")
    source = pieces(translator.bundle, "source", "a red dog sleeps.")
    target = pieces(translator.bundle, "target", "the house.")
    assert (maps.source_text, maps.target_text) == ("a red dog sleeps.", "the house.")
    assert maps.source == (*source, "</s>")
    assert maps.target == ("<s>", *target)
    assert maps.predicted == (*target, "</s>")
    assert maps.labels("encoder") == (maps.source, maps.source)
    assert maps.labels("decoder") == (maps.target, maps.target)
    assert maps.labels("cross") == (maps.predicted, maps.source)
    check_shapes(maps)


def test_weights_are_those_of_a_pass_over_the_pair(translator: Translator) -> None:
    maps = inspect_sentence(translator, "a red dog sleeps.", "the house.")
    tokenizers = translator.bundle.tokenizers
    source = [*tokenizers.source.encode(["a red dog sleeps."])[0], tokenizers.source.eos_id]
    target = [tokenizers.target.bos_id, *tokenizers.target.encode(["the house."])[0]]
    expected = teacher_forced_weights(translator.bundle, pack([source]), pack([target]))
    heads = list(maps.heads())
    assert heads == [Head(kind, 1, number) for kind in KINDS for number in (1, 2)]
    for head in heads:
        assert (maps.of(head) == expected[head.kind][0][0, head.head - 1].numpy()).all()


@pytest.mark.parametrize("options", [{"beam_size": 1}, {"beam_size": 3, "max_length_extra": 3}])
def test_without_a_target_the_translation_is_looked_at(translator: Translator, options: dict[str, int]) -> None:
    (line,) = translator.translate_in_detail(["a red dog"], **options)
    maps = inspect_sentence(translator, "a red dog", **options)
    assert maps.target_text == line.text
    assert maps.predicted == (*line.translations[0].pieces, "</s>")
    assert maps.target == ("<s>", *line.translations[0].pieces)
    check_shapes(maps)


def test_a_language_tag_is_the_first_source_piece(loaded: Bundle) -> None:
    loaded.tokenizers.source.__dict__["tags"] = {"de": TAG}
    data = loaded.config.data.model_copy(update={"language_tags": True})
    tagged = Translator(dataclasses.replace(loaded, config=loaded.config.model_copy(update={"data": data})))
    maps = inspect_sentence(tagged, "a dog", "the cat", to="de")
    (tag,) = loaded.tokenizers.source.pieces([TAG])
    assert maps.source == (tag, *pieces(loaded, "source", "a dog"), "</s>")
    check_shapes(maps)
    with pytest.raises(ConfigError, match="choose one of de"):
        inspect_sentence(tagged, "a dog", "the cat")


def test_a_head_that_is_not_there_is_named(translator: Translator) -> None:
    maps = inspect_sentence(translator, "a dog", "the cat")
    for head in (Head("cross", 2, 1), Head("encoder", 1, 3)):
        with pytest.raises(ConfigError, match=rf"{head} is not in tiny, whose {head.kind} layers have 2 heads"):
            maps.of(head)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (" \n", None, "source: found a blank sentence"),
        ("", "the cat", "source: found a blank sentence"),
        ("a dog", "\t", "target: found a blank sentence"),
        ("a dog " * 60, None, r"source: found \d+ pieces, expected at most 63, the model's limit"),
        ("a dog", "the cat " * 60, r"target: found \d+ pieces, expected at most 63, the model's limit"),
    ],
)
def test_blank_and_long_sentences_are_refused(
    translator: Translator, source: str, target: str | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        inspect_sentence(translator, source, target)
