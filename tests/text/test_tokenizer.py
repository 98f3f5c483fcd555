"""The tokenizer: text survives, control symbols are text, training never aborts and is reproducible."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.config import TokenizerSettings
from translator.errors import TokenizerError
from translator.text import (
    Tokenizer,
    TokenizerPair,
    copy_tokenizers,
    load_tokenizers,
    tokenizer_files,
    train_tokenizer,
    train_tokenizers,
)

ENGLISH = "the dog cat house garden runs sleeps sees a small old red man woman in on and"
GERMAN = "der Hund Katze Haus Garten läuft schläft sieht ein klein alt rot Mann Frau in auf und"
SMALL = TokenizerSettings(vocab_size=320)
LOOKALIKES = ["</s>", "<s>", "<unk>", "<pad>", "<0x41>", "a </s> b", "<s><s>", "x<unk>y"]


def pairs() -> Iterator[tuple[str, str]]:
    sides = ENGLISH.split(), GERMAN.split()
    for first in range(len(sides[0])):
        for second in range(len(sides[0])):
            left, right = (f"{words[first]} {words[second]} {words[first - second]}." for words in sides)
            yield left, right


def train(directory: Path, **changes: object) -> TokenizerPair:
    chosen = TokenizerSettings.model_validate({"vocab_size": 340, **changes})
    return train_tokenizers(pairs, chosen, directory)


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return train(tmp_path_factory.mktemp("tokenizer"), type=request.param).source


def test_text_is_restored(tokenizer: Tokenizer) -> None:
    for text in ("the dog runs.", "der Hund läuft.", "zyx ß ñ 漢字 🙂 'quoted'", "1,000.50 <b>"):
        (ids,) = tokenizer.encode([text])
        assert tokenizer.decode(ids) == text
        assert tokenizer.decode_pieces(tokenizer.encode_pieces(text)) == text
        assert tokenizer.pieces(ids) == tokenizer.encode_pieces(text)


@settings(deadline=None, max_examples=100)
@given(st.text(st.characters(blacklist_categories=["Cs"]), max_size=30))
def test_any_text_becomes_pieces_that_are_no_control_symbols(text: str) -> None:
    tokenizer = _tokenizer_without_normalization()
    (ids,) = tokenizer.encode([text])
    assert not {tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id} & set(ids)
    # SentencePiece keeps neither runs of spaces nor U+2581, with which it writes them.
    expected = text.replace("\u2581", " ").replace("\n", " ")
    assert tokenizer.decode(ids).replace(" ", "") == expected.replace(" ", "")


_CACHE: list[Tokenizer] = []


def _tokenizer_without_normalization() -> Tokenizer:
    if not _CACHE:
        chosen = TokenizerSettings(vocab_size=340, normalization="identity")
        _CACHE.append(train_tokenizer(lambda: (side for pair in pairs() for side in pair), chosen))
    return _CACHE[0]


def test_what_looks_like_a_control_symbol_is_text(tokenizer: Tokenizer) -> None:
    controls = {tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id}
    for text in LOOKALIKES:
        (ids,) = tokenizer.encode([text])
        assert not controls & set(ids), text
        assert tokenizer.decode(ids) == text
    a_byte = next(piece for piece in range(tokenizer.vocab_size) if tokenizer.pieces([piece]) == ["<0x41>"])
    assert tokenizer.is_byte(a_byte)
    assert a_byte not in tokenizer.encode(["<0x41>"])[0]


def test_a_corpus_full_of_control_symbols_trains_none(tmp_path: Path) -> None:
    lines = [f"{symbol} the dog {symbol}{symbol}" for symbol in LOOKALIKES] * 20
    tokenizer = train_tokenizer(lambda: lines, TokenizerSettings(vocab_size=340))
    for text in LOOKALIKES:
        assert not {0, 1, 2} & set(tokenizer.encode([text])[0])
        assert tokenizer.decode(tokenizer.encode([text])[0]) == text


def test_ids_of_the_special_tokens(tokenizer: Tokenizer) -> None:
    assert (tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id) == (0, 1, 2)
    assert sum(tokenizer.is_byte(piece) for piece in range(tokenizer.vocab_size)) == 256


def test_special_tokens_are_left_out_of_the_text(tokenizer: Tokenizer) -> None:
    (ids,) = tokenizer.encode(["the dog"])
    assert tokenizer.decode([1, *ids, 2, 2]) == "the dog"
    assert tokenizer.decode_pieces(["<s>", *tokenizer.encode_pieces("the dog"), "</s>"]) == "the dog"
    assert tokenizer.decode([]) == ""


def test_no_line_feed_comes_out(tokenizer: Tokenizer) -> None:
    line_feed = next(piece for piece in range(tokenizer.vocab_size) if tokenizer.pieces([piece]) == ["<0x0A>"])
    (word,) = tokenizer.encode(["dog"])
    assert tokenizer.decode([*word, line_feed, *word]) == "dog  dog"
    assert "\n" not in tokenizer.decode_pieces(["dog", "<0x0A>", "dog"])


@pytest.mark.parametrize("piece", [-1, 340, 10**9])
def test_an_id_outside_the_vocabulary_is_refused(tokenizer: Tokenizer, piece: int) -> None:
    with pytest.raises(TokenizerError, match=f"there is no piece {piece}; expected 0 to {tokenizer.vocab_size - 1}"):
        tokenizer.decode([5, piece])
    with pytest.raises(TokenizerError, match=f"there is no piece {piece};"):
        tokenizer.decode_all([[5], [5, piece]])


@pytest.mark.parametrize("count", [0, 3, 30, 600])
def test_many_are_decoded_as_each_is(tokenizer: Tokenizer, count: int) -> None:
    line_feed = next(piece for piece in range(tokenizer.vocab_size) if tokenizer.pieces([piece]) == ["<0x0A>"])
    examples = [(), tuple(tokenizer.encode(["der Hund läuft."])[0]), (line_feed, *tokenizer.encode(["dog 🙂"])[0])]
    sequences = [examples[index % 3] for index in range(count)]
    assert tokenizer.decode_all(sequences) == [tokenizer.decode(ids) for ids in sequences]


def test_without_byte_fallback_a_foreign_character_is_unknown_but_not_lost_in_pieces(tmp_path: Path) -> None:
    tokenizer = train(tmp_path, byte_fallback=False, vocab_size=300).source
    assert tokenizer.unk_id in tokenizer.encode(["the 漢 dog"])[0]
    assert tokenizer.decode_pieces(tokenizer.encode_pieces("the 漢 dog")) == "the 漢 dog"


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_vocabulary_too_large_is_lowered_with_a_message(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = train(tmp_path, type=kind, vocab_size=50_000).source
    assert 300 < tokenizer.vocab_size < 5000
    message = f"too few pieces for tokenizer.vocab_size = 50,000; lowered to {tokenizer.vocab_size:,}"
    assert message in capsys.readouterr().err
    assert tokenizer.decode(tokenizer.encode(["der Hund läuft."])[0]) == "der Hund läuft."


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_vocabulary_too_small_for_the_characters_is_an_error(kind: str) -> None:
    lines = ["".join(chr(0x4E00 + 20 * line + offset) for offset in range(20)) for line in range(40)]
    with pytest.raises(TokenizerError, match=r"tokenizer.vocab_size is 320, but the characters of the text"):
        train_tokenizer(lambda: lines, TokenizerSettings.model_validate({"vocab_size": 320, "type": kind}))


@pytest.mark.parametrize("lines", [[], ["", "  ", "\u3000"]])
def test_blank_text_trains_nothing(lines: list[str]) -> None:
    with pytest.raises(TokenizerError, match="cannot be trained: the training text is blank"):
        train_tokenizer(lambda: lines, TokenizerSettings(vocab_size=300))


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_training_twice_gives_the_same_bytes(tmp_path: Path, kind: str) -> None:
    first, second = (train(tmp_path / name, type=kind, sample_size=200).source.model for name in "ab")
    assert first == second


def test_only_the_sample_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    def lines() -> Iterator[str]:
        return (f"the dog {number % 10}" for number in range(1000))

    train_tokenizer(lines, TokenizerSettings(vocab_size=300, sample_size=50))
    assert "tokenizer: training on 50 of 1,000 lines, drawn evenly" in capsys.readouterr().err


def test_a_long_line_and_odd_characters_do_not_stop_the_training() -> None:
    odd = ["x" * 20_000 + " dog", "a\0b\tc\rd\u2581e\u2585f", "the dog " * 3000]
    lines = [side for pair in pairs() for side in pair] + odd
    tokenizer = train_tokenizer(lambda: lines, TokenizerSettings(vocab_size=340))
    for text in ("x" * 20_000, "a\0b", "e\u2585f"):
        assert tokenizer.decode(tokenizer.encode([text])[0]) == text


def test_one_tokenizer_for_each_side(tmp_path: Path) -> None:
    trained = train(tmp_path, joint=False, vocab_size=320)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(tokenizer_files(False))
    assert trained.source is not trained.target
    loaded = load_tokenizers(tmp_path)
    assert (loaded.joint, loaded.source.model, loaded.target.model) == (
        False, trained.source.model, trained.target.model,
    )  # fmt: skip
    for index, side in enumerate((loaded.source, loaded.target)):
        alone = train_tokenizer(lambda index=index: [pair[index] for pair in pairs()], SMALL)
        assert side.model == alone.model


def test_a_joint_tokenizer_is_one_object_and_can_be_copied(tmp_path: Path) -> None:
    trained = train(tmp_path / "a")
    (tmp_path / "b").mkdir()
    copy_tokenizers(tmp_path / "a", tmp_path / "b")
    loaded = load_tokenizers(tmp_path / "b")
    assert loaded.joint and loaded.source is loaded.target
    assert loaded.source.model == trained.source.model
    assert [file.name for file in (tmp_path / "b").iterdir()] == ["tokenizer.model"]


@pytest.mark.parametrize("normalization", ["nfkc", "identity", "nfc"])
def test_normalization(tmp_path: Path, normalization: str) -> None:
    tokenizer = train(tmp_path, normalization=normalization).source
    expected = {"nfkc": "file 1", "identity": "ﬁle １", "nfc": "ﬁle １"}[normalization]
    assert tokenizer.decode(tokenizer.encode(["ﬁle １"])[0]) == expected


def test_files_that_are_not_models_are_refused(tmp_path: Path) -> None:
    (tmp_path / "damaged").write_bytes(b"\x0a\x05hello")
    (tmp_path / "empty").write_bytes(b"")
    for name in ("damaged", "empty"):
        with pytest.raises(TokenizerError, match=f"{name} is damaged or not a SentencePiece model"):
            Tokenizer.load(tmp_path / name)
    with pytest.raises(TokenizerError, match=r"cannot read the tokenizer .*nowhere: No such file"):
        Tokenizer.load(tmp_path / "nowhere")
    with pytest.raises(TokenizerError, match=r"has no tokenizer; expected tokenizer.model, or"):
        load_tokenizers(tmp_path)


def test_a_model_without_an_end_of_sentence_is_refused(tmp_path: Path) -> None:
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(side for pair in pairs() for side in pair),
        model_prefix=str(tmp_path / "foreign"),
        vocab_size=60,
        eos_id=-1,
        minloglevel=3,
    )
    with pytest.raises(TokenizerError, match="has no end of sentence"):
        Tokenizer.load(tmp_path / "foreign.model")
