"""New pieces of a vocabulary: the old ones stay as they are, and the new ones are those that shorten the text."""

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import sentencepiece

from translator.config import TokenizerSettings
from translator.errors import TokenizerError
from translator.text import Tokenizer, TokenizerPair, Vocabulary, extend_tokenizers, load_tokenizers, train_tokenizer
from translator.text.model_fields import NewPiece, model_type, splitting_options, with_pieces

OLD = [
    "der",
    "Hund",
    "schläft",
    "heute",
    "im",
    "Garten",
    "ein",
    "kleiner",
    "läuft",
    "Haus",
    "Häuser",
    "größer",
    "als",
    "klein",
    "Hunde",
    "Hundes",
]
NEW = [
    "σκύλος",
    "κοιμάται",
    "σήμερα",
    "στον",
    "κήπο",
    "μια",
    "μικρή",
    "γάτα",
    "διαβάζει",
    "βιβλίο",
    "σπίτι",
    "γάτες",
    "σκύλοι",
]
GREEK = [(" ".join(words), " ".join(reversed(words))) for words in itertools.combinations(NEW, 3)]


def base(kind: str = "bpe", words: Sequence[str] = OLD, **settings: object) -> Tokenizer:
    lines = [" ".join(three) for three in itertools.product(words, repeat=3)]
    values = TokenizerSettings.model_validate({"vocab_size": 330, "type": kind, **settings})
    return train_tokenizer(lambda: iter(lines), values, languages=("de",))


def extend(
    pair: TokenizerPair | Tokenizer, directory: Path, count: int, languages: Sequence[str] = ()
) -> TokenizerPair:
    if isinstance(pair, Tokenizer):
        pair = TokenizerPair(pair, pair, True)
    return extend_tokenizers(pair, lambda: GREEK, TokenizerSettings(extend=count), directory, languages)


def scores(tokenizer: Tokenizer) -> list[tuple[str, float]]:
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    return [(processor.id_to_piece(index), processor.get_score(index)) for index in range(processor.vocab_size())]


def length(tokenizer: Tokenizer, lines: Sequence[str]) -> int:
    return sum(map(len, tokenizer.encode(lines)))


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_old_pieces_stay_and_new_ones_come_after_and_are_used(kind: str, tmp_path: Path) -> None:
    old = base(kind, user_defined_symbols=["<ph1>"], split_digits=True)
    pair = extend(old, tmp_path, 30, ("de", "el"))
    new, size = pair.source, old.vocab_size
    assert pair.joint and load_tokenizers(tmp_path).source.digest == new.digest
    assert scores(new)[:size] == scores(old) and new.vocab_size == size + 31
    assert new.tags == {"de": old.tags["de"], "el": size}
    assert new.pieces([size]) == ["<2el>"]
    lines = [pair[0] for pair in GREEK]
    used = {piece for ids in new.encode(lines) for piece in ids}
    # A part of longer pieces may be used in other lines alone, but most are used here.
    assert len(used & set(range(size + 1, new.vocab_size))) > 10
    assert [new.cut(piece) for piece in new.pieces(range(size + 1, new.vocab_size))] == [
        [index] for index in range(size + 1, new.vocab_size)
    ]
    assert length(new, lines) < length(old, lines) / 2
    assert sum(map(new.is_byte, used)) < 10
    for line in [*lines, "der <ph1> σκύλος 12 läuft <2el> </s>"]:
        assert new.decode(new.encode([line])[0]) == line
    untouched = ["der Hund schläft heute", "größer als 12 Häuser <ph1>", "x"]
    assert new.encode(untouched) == old.encode(untouched)
    strength = 0.2 if kind == "bpe" else 0.02
    assert new.sample(lines, strength, 3) == new.sample(lines, strength, 3) != new.encode(lines)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_more_pieces_shorten_the_text_more_and_what_is_not_found_is_said(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = base(kind)
    lines = [side for pair in GREEK for side in pair]
    lengths = [length(extend(old, tmp_path, count).source, lines) for count in (5, 15, 30)]
    assert length(old, lines) > lengths[0] > lengths[1] > lengths[2]
    assert "no more that would" not in capsys.readouterr().err
    capsys.readouterr()
    new = extend(old, tmp_path, 5000).source
    found = new.vocab_size - old.vocab_size
    errors = " ".join(capsys.readouterr().err.split())
    assert 0 < found < 1000
    assert f"new pieces: {found}, such as" in errors
    assert "the text has no more that would shorten it (tokenizer.extend = 5,000)" in errors
    # All words have a piece of their own then.
    assert length(new, lines) == 6 * len(GREEK)
    assert extend(new, tmp_path, 10).source.vocab_size == new.vocab_size
    assert "no new pieces; the text has no more" in " ".join(capsys.readouterr().err.split())


def test_the_same_text_makes_the_same_pieces(tmp_path: Path) -> None:
    old = base()
    assert extend(old, tmp_path / "a", 30).source.model == extend(old, tmp_path / "b", 30).source.model


def test_each_side_gets_pieces_of_its_own_unless_ids_are_shared(tmp_path: Path) -> None:
    source, target = base(), base("bpe", OLD[:7], vocab_size=310)
    pair = extend(TokenizerPair(source, target, False), tmp_path, 25, ("el",))
    assert pair.sizes == (source.vocab_size + 26, target.vocab_size + 25)
    assert not pair.joint and pair.target.tags == target.tags
    # The same pieces under two rules.
    wide = Tokenizer(base(normalization="nfkc").model)
    narrow = Tokenizer(wide.model.replace(b"nfkc", b"nfkd"))
    shared = extend(TokenizerPair(wide, narrow, False), tmp_path, 25, ("el",))
    assert shared.share_ids and shared.sizes == (wide.vocab_size + 26,) * 2
    assert shared.source.digest != shared.target.digest
    assert shared.source.tags == shared.target.tags


@pytest.mark.parametrize("byte_fallback", [True, False])
def test_vocabularies_with_ids_of_their_own_get_them_after_all_others(byte_fallback: bool, tmp_path: Path) -> None:
    sides = []
    names: dict[str, None] = {}
    plain = [base("unigram", OLD[:9], byte_fallback=byte_fallback),
             base("unigram", OLD[5:], vocab_size=310, byte_fallback=byte_fallback)]  # fmt: skip
    for tokenizer in plain:
        names |= dict.fromkeys(name for name in tokenizer.pieces(range(tokenizer.vocab_size)) if "<2" not in name)
    order = [*names, ">>de<<", "<pad>"]
    random.Random(4).shuffle(order)
    vocabulary = Vocabulary(tuple(order))
    sides = [Tokenizer(tokenizer.model, "t", vocabulary) for tokenizer in plain]
    old = TokenizerPair(sides[0], sides[1], False)
    assert old.share_ids
    pair = extend(old, tmp_path, 30, ("de", "el"))
    assert pair.share_ids and pair.sizes == (len(order) + 31,) * 2
    assert pair.source.pieces(range(len(order))) == order
    assert pair.source.tags == {"de": order.index(">>de<<"), "el": len(order)}
    assert pair.source.pieces([len(order)]) == [">>el<<"]
    read = load_tokenizers(tmp_path)
    for side, before in ((read.source, old.source), (read.target, old.target)):
        assert side.zero_start and (side.eos_id, side.unk_id) == (before.eos_id, before.unk_id)
        lines = [pair[0] for pair in GREEK]
        ids = side.encode(lines)
        assert max(map(max, ids)) > len(order) and not any(side.unk_id in row for row in ids)
        assert [side.decode(row) for row in ids] == lines
        assert side.encode(["der Hund"]) == before.encode(["der Hund"])


def test_models_of_words_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("\n".join(" ".join(three) for three in itertools.combinations(OLD, 3)))
    sentencepiece.SentencePieceTrainer.train(
        input=str(file), model_prefix=str(tmp_path / "words"), model_type="word", vocab_size=15, minloglevel=3
    )
    words = Tokenizer.load(tmp_path / "words.model")
    with pytest.raises(TokenizerError, match="tokenizer.extend: .* of the type word; expected one of bpe or unigram"):
        extend(words, tmp_path, 10)


def test_fields_of_a_model_are_read_and_changed(tmp_path: Path) -> None:
    old = base("unigram", split_digits=True)
    assert model_type(old.model) == "unigram" and model_type(base().model) == "bpe"
    assert splitting_options(old.model) == {"split_digits": True, "add_dummy_prefix": True}
    file = tmp_path / "text.txt"
    file.write_text("\n".join(" ".join(three) for three in itertools.combinations(OLD, 3)))
    options = {"split_by_number": False, "treat_whitespace_as_suffix": True, "max_sentencepiece_length": 7,
               "split_by_unicode_script": False, "add_dummy_prefix": False}  # fmt: skip
    sentencepiece.SentencePieceTrainer.train(
        input=str(file), model_prefix=str(tmp_path / "other"), vocab_size=45, minloglevel=3, **options
    )
    assert splitting_options((tmp_path / "other.model").read_bytes()) == options
    model = with_pieces(old.model, [NewPiece("<2xx>", 0.0, is_control=True), NewPiece("ab" * 100, -3.25)])
    new = Tokenizer(model)
    assert scores(new) == [*scores(old), ("<2xx>", 0.0), ("ab" * 100, -3.25)]
    assert "xx" in new.tags and new.decode([old.vocab_size, old.vocab_size + 1]) == "ab" * 100
