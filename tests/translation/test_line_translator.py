"""The contract of lines: as many out as in, in order, whatever they hold."""

import io
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from translator.config import DecodingSettings
from translator.decoding import NativeEngine
from translator.text import TokenizerPair, decode_lines
from translator.text.encoding import binary_kind, foreign_encoding, wide_encoding
from translator.text.input_lines import blocks_of
from translator.translation import LineTranslator
from translator.translation.line_requests import Target
from translator.translation.result import TranslatedLine

EOS = 2
DECODING = DecodingSettings(beam_size=1, batch_tokens=60)


class ByteTokenizer:
    """UTF-8 bytes as pieces; like SentencePiece it drops spaces at the ends."""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        assert all("\n" not in text for text in texts)
        return [[byte + 3 for byte in text.strip().encode("utf-8")] for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(piece - 3 for piece in ids if piece > 2).decode("utf-8", errors="replace")

    def decode_all(self, sequences: Sequence[Sequence[int]]) -> list[str]:
        return [self.decode(ids) for ids in sequences]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        return [chr(piece) for piece in ids]


TOKENIZERS: Any = TokenizerPair(ByteTokenizer(), ByteTokenizer(), True)  # type: ignore[arg-type]


def copied(source: tuple[int, ...], prefix: tuple[int, ...]) -> list[float]:
    logits = [0.0] * 259
    logits[source[len(prefix)] if len(prefix) < len(source) else EOS] = 9.0
    return logits


def detail(
    steps: Any, lines: Sequence[str], *, window: int | None = None, longest: int | None = None,
    on_progress: Any = None, tag: int | None = None, language: str | None = None, **settings: Any,
) -> list[TranslatedLine]:  # fmt: skip
    engine = NativeEngine(steps)
    engine.longest_source = longest
    replaced = DECODING.model_copy(update=settings)
    target = Target(tag, language)
    translate = LineTranslator(engine, TOKENIZERS, replaced, lambda to: target, with_scores=True)
    return list(translate(blocks_of(lines, window), on_progress))


def run(steps: Any, lines: Sequence[str], **options: Any) -> list[str]:
    return [line.text for line in detail(steps, lines, **options)]


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
    assume(not (foreign_encoding(data) or wide_encoding(data) or binary_kind(data)))
    count = data.count(b"\n") + (data != b"" and not data.endswith(b"\n"))
    translations = run(table_steps(copied), list(decode_lines(io.BytesIO(data), "stdin")))
    assert len(translations) == count
    assert "\n" not in "".join(translations)


def test_blank_lines_never_reach_the_model(table_steps: Any) -> None:
    def refuse(source: tuple[int, ...], prefix: tuple[int, ...]) -> list[float]:
        raise AssertionError("the model was asked")

    lines = ["", "  ", "\t", "\r", "\r\r", " \r", "\u2003"]
    assert run(table_steps(refuse), lines) == lines


def test_line_feeds_are_not_written_whatever_the_model_says(table_steps: Any) -> None:
    def line_feeds(source: tuple[int, ...], prefix: tuple[int, ...]) -> list[float]:
        logits = [0.0] * 259
        logits[ord("\n") + 3 if len(prefix) < 3 else EOS] = 9.0
        return logits

    assert run(table_steps(line_feeds), ["a", "b\r"]) == ["   ", "   \r"]


def test_carriage_returns_at_the_end_are_those_of_the_source(table_steps: Any) -> None:
    def returns(source: tuple[int, ...], prefix: tuple[int, ...]) -> list[float]:
        logits = [0.0] * 259
        logits[[ord("a") + 3, ord("\r") + 3, EOS][min(len(prefix), 2)]] = 9.0
        return logits

    assert run(table_steps(returns), ["x", "y\r"]) == ["a", "a\r"]


def test_line_feed_at_the_end_of_a_python_line_is_dropped(table_steps: Any) -> None:
    assert run(table_steps(copied), ["a\n", "\n", "b\r\n"]) == ["a", "", "b\r"]


def test_lone_surrogates_are_text(table_steps: Any) -> None:
    assert run(table_steps(copied), ["a\ud800b"]) == ["a?b"]


@pytest.mark.parametrize(
    ("long_lines", "second", "fourth", "what"),
    [
        ("truncate", "abcd", "ab c", "the rest was left out"),
        ("blank", "", "", "left blank"),
        ("split", "abcd efgh", "ab cde fgh", "translated in parts"),
    ],
)
def test_long_lines_are_named_once(
    table_steps: Any, capsys: pytest.CaptureFixture[str], long_lines: str, second: str, fourth: str, what: str
) -> None:
    lines = ["abc", "abcdefgh", "ab", "ab cdefgh\r"]
    found = detail(table_steps(copied), lines, longest=4, window=2, long_lines=long_lines)
    assert [line.text for line in found] == ["abc", second, "ab", fourth + "\r"]
    assert capsys.readouterr().err == f"warning: lines 2, 4 are longer than 4 pieces, the model's limit; {what}\n"
    assert [len(line.warnings) for line in found] == [0, 1, 0, 1]


def test_parts_are_joined_as_the_language_does(table_steps: Any) -> None:
    for language, joint in (("de", " "), (None, " "), ("ja", ""), ("zh-CN", ""), ("zh_Hant", "")):
        assert run(table_steps(copied), ["One. Two."], longest=5, language=language) == [f"One.{joint}Two."]


def test_scores_of_parts_make_that_of_the_line(table_steps: Any) -> None:
    line = detail(table_steps(copied), ["One. Two."], longest=5, beam_size=3, n_best=2)[0]
    first, second = (detail(table_steps(copied), [part], beam_size=3, n_best=2)[0] for part in ("One.", "Two."))
    for place, joined in enumerate(line.translations):
        parts = [part.translations[place] for part in (first, second)]
        assert joined.text == " ".join(part.text for part in parts)
        assert joined.log_probability == pytest.approx(sum(part.log_probability for part in parts))
        assert joined.pieces == parts[0].pieces + parts[1].pieces
        assert joined.score == pytest.approx(joined.log_probability / ((5.0 + len(joined.pieces) + 2) / 6.0) ** 0.6)


def test_the_prefix_begins_a_line_not_its_parts(table_steps: Any) -> None:
    assert run(table_steps(copied), ["One. Two."], longest=5, prefix="Tw") == ["Twe. Two."]


def test_a_line_to_which_the_rules_leave_nothing_is_blank_and_named(
    table_steps: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere(source: tuple[int, ...], prefix: tuple[int, ...]) -> list[float]:
        return [float("nan")] * 259 if source[0] == ord("b") + 3 else copied(source, prefix)

    found = detail(table_steps(nowhere), ["a", "b"])
    assert ([line.text for line in found], found[1].translations) == (["a", ""], ())
    assert "warning: line 2 is without a translation that the settings allow" in capsys.readouterr().err


def test_least_risk_chooses_among_samples(table_steps: Any) -> None:
    """Two of three samples say the same; the third is more probable by its score alone."""
    line = detail(table_steps(copied), ["ab"], search="mbr", mbr_samples=8, n_best=1)[0]
    assert line.translations[0].text == "ab"
    assert 0.0 < line.translations[0].score <= 100.0
    assert line.translations[0].log_probability < 0.0


def test_a_line_that_comes_twice_is_searched_once(table_steps: Any) -> None:
    asked: list[int] = []

    class CountingEngine(NativeEngine):
        def search(self, requests: Any, *arguments: Any, **options: Any) -> Any:
            asked.append(len(requests))
            return super().search(requests, *arguments, **options)

    translate = LineTranslator(CountingEngine(table_steps(copied)), TOKENIZERS, DECODING)
    lines = ["a", "b", "", "a", "a\r", "b"]
    assert [line.text for line in translate([lines])] == lines
    assert asked == [2]


def test_progress_counts_every_line(table_steps: Any) -> None:
    heard: list[int] = []
    run(table_steps(copied), ["a"] * 10, window=4, on_progress=heard.append)
    assert sum(heard) == 10
    assert len(heard) >= 3


def test_translations_appear_while_lines_are_still_to_come(table_steps: Any) -> None:
    def lines() -> Any:
        yield from ["a", "b"]
        raise AssertionError("read too far")

    translate = LineTranslator(NativeEngine(table_steps(copied)), TOKENIZERS, DECODING)
    translations = translate(blocks_of(lines(), 1))
    assert [next(translations).text, next(translations).text] == ["a", "b"]


def test_the_tag_is_the_first_piece_of_every_line_that_is_not_blank(table_steps: Any) -> None:
    """The model copies its source, so that the tag, the letter `T`, comes back before every text."""
    steps, tag = table_steps(copied), ord("T") + 3
    assert run(steps, ["ab", "", " ", "c\r"], tag=tag) == ["Tab", "", " ", "Tc\r"]
    assert run(steps, ["abcd"], tag=tag, longest=3, long_lines="truncate") == ["Tab"]
    assert run(steps, ["abcd"], tag=tag, longest=3) == ["Tab Tcd"]


def test_lines_longer_than_usual_are_translated_sentence_by_sentence(table_steps: Any, capsys: Any) -> None:
    lines = ["One.  Two.\u2003Three.", "Is. It", "One. Two."]
    asked: list[tuple[int, ...]] = []

    class Recorded(NativeEngine):
        def search(self, requests: Any, *arguments: Any, **options: Any) -> Any:
            asked.extend(request.source for request in requests)
            return super().search(requests, *arguments, **options)

    def translated(long_lines: str, engine: Any) -> list[str]:
        own = DECODING.model_copy(update={"long_lines": long_lines})
        translate = LineTranslator(engine, TOKENIZERS, own, usual_source=8, source_language="en")
        return [line.text for line in translate([lines])]

    assert translated("split", Recorded(table_steps(copied))) == lines
    decoded = [TOKENIZERS.source.decode(source) for source in asked]
    assert decoded == ["One.", "Two.", "Three.", "Is. It"]
    asked.clear()
    assert translated("none", Recorded(table_steps(copied))) == lines
    assert [TOKENIZERS.source.decode(source) for source in asked] == lines
    assert capsys.readouterr().err == ""


def test_a_sentence_that_the_model_cannot_take_is_cut_further(table_steps: Any) -> None:
    engine = NativeEngine(table_steps(copied))
    engine.longest_source = 6
    translate = LineTranslator(engine, TOKENIZERS, DECODING, usual_source=4, longest_part=5, source_language="en")
    (line,) = translate([["Ab.  Abc def ghi.\tAb."]])
    assert line.text == "Ab.  Abc def ghi.\tAb."
    assert line.warnings == ("longer than 6 pieces, the model's limit; translated in parts",)
