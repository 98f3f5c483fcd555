"""The contract of lines: as many out as in, in order, whatever they hold."""

import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from translator.config import DecodingSettings
from translator.decoding import decode_lines, open_input, read_call_settings, replace_stated, translate_with
from translator.errors import ConfigError, DataError
from translator.text import TokenizerPair

EOS = 2
DECODING = DecodingSettings(beam_size=1, batch_tokens=60)


class ByteTokenizer:
    """UTF-8 bytes as pieces; like SentencePiece it drops spaces at the ends."""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        assert all("\n" not in text for text in texts)
        return [[byte + 3 for byte in text.strip().encode("utf-8")] for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(piece - 3 for piece in ids).decode("utf-8", errors="replace")


TOKENIZERS: Any = TokenizerPair(ByteTokenizer(), ByteTokenizer(), True)  # type: ignore[arg-type]


def copied(source: tuple[int, ...], prefix: tuple[int, ...]) -> list[float]:
    logits = [0.0] * 259
    logits[source[len(prefix)] if len(prefix) < len(source) else EOS] = 9.0
    return logits


def run(steps: Any, lines: Sequence[str], **options: Any) -> list[str]:
    return list(translate_with(steps, TOKENIZERS, lines, DECODING, **options))


ODD_TEXT = st.text(
    st.one_of(st.sampled_from("ab \t\r\0\u2028\u0085\v\f\u00a0\u200bäß€語🙂\u05d0▁"), st.characters(codec="utf-8")),
    max_size=12,
).map(lambda text: text.replace("\n", ""))


@given(lines=st.lists(st.one_of(ODD_TEXT, st.sampled_from(["</s>", "<unk>", "", "  "])), max_size=10))
@settings(max_examples=60, deadline=None)
def test_every_line_comes_back_in_its_place(table_steps: Any, lines: list[str]) -> None:
    """The model copies, so that every line must come back as itself (but for spaces at its ends)."""
    steps = table_steps(copied)
    translations = run(steps, lines)
    assert [line.strip() for line in translations] == [line.strip() for line in lines]
    assert [line.endswith("\r") for line in translations] == [line.endswith("\r") for line in lines]
    for window in (1, 3):
        assert run(steps, lines, window=window) == translations


@given(data=st.binary(max_size=120).map(lambda data: data.replace(b"#", b"\n")))
@settings(max_examples=60, deadline=None)
def test_as_many_lines_out_as_in_for_arbitrary_bytes(table_steps: Any, data: bytes) -> None:
    assume(data[:2] not in (b"\xff\xfe", b"\xfe\xff"))
    count = data.count(b"\n") + (data != b"" and not data.endswith(b"\n"))
    translations = run(table_steps(copied), list(decode_lines(io.BytesIO(data), "stdin")))
    assert len(translations) == count
    assert "\n" not in "".join(translations)


def test_blank_lines_never_reach_the_model(table_steps: Any) -> None:
    def refuse(source: tuple[int, ...], prefix: tuple[int, ...]) -> list[float]:
        raise AssertionError("the model was asked")

    lines = ["", "  ", "\t", "\r", " \r", "\u2003"]
    assert run(table_steps(refuse), lines) == lines


def test_line_feeds_are_not_written_whatever_the_model_says(table_steps: Any) -> None:
    def line_feeds(source: tuple[int, ...], prefix: tuple[int, ...]) -> list[float]:
        logits = [0.0] * 259
        logits[ord("\n") + 3 if len(prefix) < 3 else EOS] = 9.0
        return logits

    assert run(table_steps(line_feeds), ["a", "b\r"]) == ["   ", "   \r"]


def test_line_feed_at_the_end_of_a_python_line_is_dropped(table_steps: Any) -> None:
    assert run(table_steps(copied), ["a\n", "\n", "b\r\n"]) == ["a", "", "b\r"]


def test_lone_surrogates_are_text(table_steps: Any) -> None:
    assert run(table_steps(copied), ["a\ud800b"]) == ["a?b"]


def test_long_lines_are_cut_with_one_warning(table_steps: Any, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["abc", "abcdefgh", "ab", "abcdefghi"]
    assert run(table_steps(copied), lines, longest_source=4, window=2) == ["abc", "abcd", "ab", "abcd"]
    assert capsys.readouterr().err == (
        "warning: lines 2, 4 are longer than 4 pieces, the model's limit; the rest was left out\n"
    )


def test_progress_counts_every_line(table_steps: Any) -> None:
    heard: list[int] = []
    run(table_steps(copied), ["a"] * 10, window=4, on_progress=heard.append)
    assert heard == [4, 4, 2]


def test_translations_appear_while_lines_are_still_to_come(table_steps: Any) -> None:
    def lines() -> Any:
        yield from ["a", "b"]
        raise AssertionError("read too far")

    translations = translate_with(table_steps(copied), TOKENIZERS, lines(), DECODING, window=1)
    assert [next(translations), next(translations)] == ["a", "b"]


def test_damaged_bytes_are_replaced_and_reported(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.BytesIO(b"\xef\xbb\xbfgood\nba\xffd\n\ngood\n\xc3")
    assert list(decode_lines(stream, "stdin")) == ["good", "ba\ufffdd", "", "good", "\ufffd"]
    assert capsys.readouterr().err == (
        "warning: stdin: lines 2, 5 are not valid UTF-8; the bytes that are not became U+FFFD\n"
    )


def test_many_damaged_lines_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    list(decode_lines([b"\xff\n"] * 12, "stdin"))
    assert "lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ... (12 in all) are not" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_refused_by_name(encoding: str) -> None:
    with pytest.raises(DataError, match="a.txt is UTF-16; expected UTF-8. Convert it: `iconv"):
        list(decode_lines(io.BytesIO("\ufeffa dog".encode(encoding)), "a.txt"))


def test_files_may_be_compressed(tmp_path: Path) -> None:
    plain, packed, broken = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    plain.write_bytes(b"one\r\ntwo")
    packed.write_bytes(gzip.compress(b"one\r\ntwo"))
    broken.write_bytes(gzip.compress(b"one\r\ntwo" * 1000)[:-10])
    for file in (plain, packed):
        with open_input(file) as stream:
            assert list(decode_lines(stream, "file")) == ["one\r", "two"]
    with (
        open_input(broken) as stream,
        pytest.raises(DataError, match="c cannot be read after line .*truncated"),
    ):
        list(decode_lines(stream, "c"))
    with pytest.raises(DataError, match="cannot read .*missing: No such file"):
        open_input(tmp_path / "missing")


def test_settings_of_a_call_replace_those_of_the_run() -> None:
    call = read_call_settings(["beam_size=2", "decoding.length_alpha=1", "device=cpu"])
    settings_of_run = DecodingSettings(beam_size=7, max_length_extra=9)
    expected = DecodingSettings(beam_size=2, length_alpha=1.0, max_length_extra=9)
    assert replace_stated(settings_of_run, call) == expected
    assert call.device == "cpu"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("beam=2", "decoding.beam: there is no such setting; did you mean decoding.beam_size?"),
        (
            "beam_size=none",
            "decoding.beam_size: expected a whole number such as 4096, 25k or 1.5M; found 'none'",
        ),
        ("beam_size", "`beam_size`: expected KEY=VALUE"),
        ("model.d_model=2", "model.d_model: only settings of decoding, and device, precision, threads"),
    ],
)
def test_wrong_settings_of_a_call_are_explained(word: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_call_settings([word])
    assert message in str(caught.value)


def test_the_tag_is_the_first_piece_of_every_line_that_is_not_blank(table_steps: Any) -> None:
    """The model copies its source, so that the tag, the letter `T`, comes back before every text."""
    steps, tag = table_steps(copied), ord("T") + 3
    assert run(steps, ["ab", "", " ", "c\r"], tag=tag) == ["Tab", "", " ", "Tc\r"]
    assert run(steps, ["abcd"], tag=tag, longest_source=3) == ["Tab"]
