"""Language tags: pieces of the vocabulary that no text is encoded as."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.config import TokenizerSettings
from translator.errors import ConfigError
from translator.text import Tokenizer, TokenizerPair, choose_tag, tag_symbol, train_tokenizers, with_tag

# The corpus itself is full of text that looks like tags.
TEXT = "the dog cat house <2de> garden runs <2fr> sleeps sees a small <2de><2en> old red man"
WORDS = TEXT.split()
LANGUAGES = ["de", "fr", "pt-BR"]


def pairs() -> Iterator[tuple[str, str]]:
    for first in WORDS:
        for second in WORDS:
            yield f"{first} {second}.", f"{second} {first}"


def train(directory: Path, languages: list[str], **changes: Any) -> TokenizerPair:
    chosen = TokenizerSettings.model_validate({"vocab_size": 340, **changes})
    return train_tokenizers(pairs, chosen, directory, languages=languages)


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return train(tmp_path_factory.mktemp("tags"), LANGUAGES, type=request.param).source


def test_every_language_has_a_tag_in_the_vocabulary(tokenizer: Tokenizer) -> None:
    assert list(tokenizer.tags) == LANGUAGES
    assert tokenizer.pieces(list(tokenizer.tags.values())) == ["<2de>", "<2fr>", "<2pt-BR>"]
    assert Tokenizer(tokenizer.model).tags == tokenizer.tags
    assert (tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id) == (0, 1, 2)


def test_without_languages_there_are_no_tags_whatever_the_corpus_contains(tmp_path: Path) -> None:
    tokenizer = train(tmp_path, []).source
    assert tokenizer.tags == {}
    assert tokenizer.decode(tokenizer.encode(["<2de> dog"])[0]) == "<2de> dog"


def test_a_piece_that_text_is_encoded_as_is_no_tag() -> None:
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(side for pair in pairs() for side in pair),
        model_writer=model,
        vocab_size=36,
        user_defined_symbols=["<2de>"],
        control_symbols=["<2fr>"],
        minloglevel=3,
    )
    tokenizer = Tokenizer(model.getvalue())
    assert "<2de>" in tokenizer.encode_pieces("<2de> dog")
    assert list(tokenizer.tags) == ["fr"]


@settings(deadline=None, max_examples=80)
@given(words=st.lists(st.sampled_from(["<2de>", "<2fr>", "<2pt-BR>", "<", "2de", ">", "dog", " ", "</s>"]), max_size=8))
def test_a_tag_in_a_text_is_text(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> None:
    if not _CACHE:
        _CACHE.append(train(tmp_path_factory.mktemp("tags"), LANGUAGES).source)
    tokenizer, text = _CACHE[0], "".join(words)
    (ids,) = tokenizer.encode([text])
    assert not set(ids) & {*tokenizer.tags.values(), tokenizer.eos_id}
    assert tokenizer.decode(ids).split() == text.split()


_CACHE: list[Tokenizer] = []


def test_tags_are_left_out_of_decoded_text(tokenizer: Tokenizer) -> None:
    (ids,) = tokenizer.encode(["the dog"])
    assert tokenizer.decode([tokenizer.tags["fr"], *ids]) == "the dog"


def test_of_two_tokenizers_the_source_tokenizer_has_the_tags(tmp_path: Path) -> None:
    tagged = train(tmp_path / "tagged", LANGUAGES, joint=False, vocab_size=320)
    plain = train(tmp_path / "plain", [], joint=False, vocab_size=320)
    assert (list(tagged.source.tags), tagged.target.tags) == (LANGUAGES, {})
    assert tagged.target.model == plain.target.model


def test_a_tag_goes_before_sources_that_have_pieces() -> None:
    assert with_tag([[7, 8], [], [9]], 3) == [[3, 7, 8], [], [3, 9]]
    assert with_tag([[7, 8], []], None) == [[7, 8], []]
    assert tag_symbol("pt-BR") == "<2pt-BR>"


def test_the_language_must_be_chosen_if_there_are_several(tokenizer: Tokenizer) -> None:
    assert choose_tag(tokenizer, True, "fr", "runs/many") == tokenizer.tags["fr"]
    assert choose_tag(tokenizer, False, None, "runs/one") is None
    for tagged, to, expected in (
        (True, None, "to: runs/many translates into several languages; choose one of de, fr, pt-BR (--to LANGUAGE)"),
        (True, "es", "to: runs/many does not translate into 'es'; choose one of de, fr, pt-BR"),
        (False, "de", "to: found 'de', but runs/many has one target language only; leave it out"),
    ):
        with pytest.raises(ConfigError) as caught:
            choose_tag(tokenizer, tagged, to, "runs/many")
        assert caught.value.problems == [expected]
