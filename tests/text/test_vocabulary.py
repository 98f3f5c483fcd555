"""A vocabulary that numbers the pieces of a SentencePiece model in its own way; models without `<s>`."""

import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from translator.config import ModelSettings
from translator.errors import ConfigError, TokenizerError
from translator.text import (
    Tokenizer,
    TokenizerPair,
    Vocabulary,
    copy_tokenizers,
    load_given_tokenizers,
    load_tokenizers,
    require_shared_ids,
    save_tokenizers,
)

LINES = [f"The {one} dog {two} the old house, {one}." for one in ("red", "big", "wet") for two in ("sees", "finds")]
TEXTS = ["The red dog sees the house.", "", "old </s> <unk> big", "wet, wet wet."]


def spm(**options: Any) -> bytes:
    """A model of about 60 pieces; options as of `spm_train`."""
    writer = io.BytesIO()
    defaults = {"model_type": "bpe", "vocab_size": 60, "hard_vocab_limit": False, "minloglevel": 3, "pad_id": -1}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES * 20), model_writer=writer, **(defaults | options)
    )
    return writer.getvalue()


def shuffled(model: bytes, *others: str, start: str | None = None) -> Vocabulary:
    """The pieces of a model and others, in another order."""
    plain = Tokenizer(model)
    pieces = [*plain.pieces(range(plain.vocab_size)), *others]
    random.Random(3).shuffle(pieces)
    return Vocabulary(tuple(pieces), start)


def test_model_without_start_token_begins_with_zeros() -> None:
    tokenizer, usual = Tokenizer(spm(bos_id=-1, eos_id=0, unk_id=1)), Tokenizer(spm())
    assert tokenizer.zero_start and not usual.zero_start
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id) == (0, 0, 1)
    assert tokenizer.target_pieces([0]) == ["<start>", "</s>"]
    assert usual.target_pieces([2]) == ["<s>", "</s>"]
    assert tokenizer.decode(tokenizer.encode(TEXTS[:1])[0]) == TEXTS[0]


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_mapped_ids_are_the_same_pieces(model_type: str) -> None:
    model = spm(model_type=model_type)
    plain, vocabulary = Tokenizer(model), shuffled(model, "<pad>", start="<pad>")
    mapped = Tokenizer(model, vocabulary=vocabulary)
    texts = TEXTS * 6  # Enough for the call with threads.
    assert mapped.vocab_size == plain.vocab_size + 1
    for ids, own in zip(plain.encode(texts), mapped.encode(texts), strict=True):
        assert mapped.pieces(own) == plain.pieces(ids)
        assert mapped.decode(own) == plain.decode(ids)
    assert mapped.decode_all(mapped.encode(texts)) == plain.decode_all(plain.encode(texts))
    sampled, expected = mapped.sample(texts, 0.5, 7), plain.sample(texts, 0.5, 7)
    assert [mapped.pieces(row) for row in sampled] == [plain.pieces(row) for row in expected]
    special = [mapped.bos_id, mapped.eos_id, mapped.unk_id]
    assert mapped.pieces(special) == ["<pad>", "</s>", "<unk>"] and not mapped.zero_start
    assert mapped.decode([*special[:2], *mapped.encode(["old dog"])[0]]) == "old dog"
    assert mapped.digest != plain.digest


def test_bytes_stay_bytes() -> None:
    model = spm(byte_fallback=True, vocab_size=320)
    mapped = Tokenizer(model, vocabulary=shuffled(model))
    ids = mapped.encode(["é"])[0]
    assert [mapped.is_byte(piece) for piece in ids] == [False, True, True]
    assert mapped.decode(ids) == "é"


def test_pieces_of_the_other_model_and_pieces_that_are_left_out() -> None:
    """As in OPUS-MT: one vocabulary over two models, and what a model does not know may be a piece of the other."""
    model = spm(character_coverage=1.0)
    plain = Tokenizer(model)
    kept = [piece for piece in plain.pieces(range(plain.vocab_size)) if piece != "▁dog"]
    mapped = Tokenizer(model, vocabulary=Vocabulary((*kept, "猫", ">>fra<<", "▁chat")))
    (cat,) = (index for index, piece in enumerate((*kept, "猫")) if piece == "猫")
    assert mapped.encode(["猫"])[0] == [mapped.vocabulary.ids["▁"], cat]  # type: ignore[union-attr]
    assert mapped.encode(["犬"])[0][-1] == mapped.unk_id
    assert mapped.encode(["dog"])[0] == [mapped.unk_id]
    assert mapped.tags == {"fra": cat + 1}
    assert mapped.encode([">>fra<<"])[0].count(cat + 1) == 0  # Text that looks like a tag is text.
    assert mapped.decode([cat + 1, cat + 2, cat]) == "chat猫"
    assert not mapped.is_byte(cat)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"pieces": ["</s>", "<unk>", "a", "a"]}, "the piece 'a' twice"),
        ({"pieces": ["<unk>", "a"]}, "no piece '</s>'"),
        ({"start": "<pad>"}, "no piece '<pad>'"),
        ({"pieces": {"a": 1}}, "found an object, expected a list"),
        ({"end": None}, "found null, expected text"),
    ],
)
def test_damaged_vocabulary_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    (tmp_path / "some.spm").write_bytes(spm())
    values = {"pieces": ["</s>", "<unk>"], "start": None, "end": "</s>", "unknown": "<unk>"} | change
    (tmp_path / "some.vocabulary.json").write_text(json.dumps(values))
    with pytest.raises(TokenizerError, match=message) as caught:
        Tokenizer.load(tmp_path / "some.spm")
    assert "some.vocabulary.json" in str(caught.value)


@pytest.mark.parametrize("joint", [True, False])
def test_files_keep_the_vocabulary_and_replace_the_other_kind(tmp_path: Path, joint: bool) -> None:
    model = spm()
    mapped = Tokenizer(model, vocabulary=shuffled(model))
    pair = TokenizerPair(mapped, mapped if joint else Tokenizer(model), joint)
    other = TokenizerPair(mapped, mapped, not joint)
    for name, own in (("from", pair), ("to", other)):
        (tmp_path / name).mkdir()
        save_tokenizers(own, tmp_path / name)
    copy_tokenizers(tmp_path / "from", tmp_path / "to")
    names = {file.name for file in (tmp_path / "to").iterdir()}
    assert names == set(pair.files()) == {file.name for file in (tmp_path / "from").iterdir()}
    loaded = load_tokenizers(tmp_path / "to")
    assert loaded.source.vocabulary == mapped.vocabulary and loaded.target.vocabulary == pair.target.vocabulary
    assert (loaded.source.digest, loaded.target.digest) == (pair.source.digest, pair.target.digest)


def test_two_models_share_ids_if_every_id_is_the_same_piece(tmp_path: Path) -> None:
    (tmp_path / "a.spm").write_bytes(first := spm())
    (tmp_path / "b.spm").write_bytes(spm(model_type="unigram"))
    files = [str(tmp_path / "a.spm"), str(tmp_path / "b.spm")]
    apart = load_given_tokenizers(files)
    assert not apart.joint and not apart.share_ids
    tied = ModelSettings(tie_embeddings="all")
    with pytest.raises(ConfigError, match="same pieces with the same ids"):
        require_shared_ids(tied, apart)
    require_shared_ids(ModelSettings(tie_embeddings="decoder"), apart)
    for name in "ab":
        (tmp_path / f"{name}.vocabulary.json").write_bytes(shuffled(first).dump())
    require_shared_ids(tied, load_given_tokenizers(files))
    require_shared_ids(tied, load_given_tokenizers(files[0]))
