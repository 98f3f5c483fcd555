"""Cutting lines: nothing is lost, everything fits, and borders are where a reader would put them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.translation.long_lines import Part, cut_into_sentences, cut_to_fit

TEXT = st.text(
    st.one_of(st.sampled_from("ab.,!? \u3002\u3001\u0301\u200d\u00a0\U0001f642"), st.characters()), max_size=60
)


def characters(texts: list[str]) -> list[int]:
    return [len(text) for text in texts]


def words(texts: list[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def joined(parts: list[Part]) -> str:
    return "".join(part.text + part.gap for part in parts)


@given(TEXT, st.integers(1, 12))
@settings(max_examples=300)
def test_parts_joined_are_the_line_and_all_fit(text: str, longest: int) -> None:
    parts = cut_to_fit(text, characters, longest)  # type: ignore[arg-type]
    assert joined(parts) == text.strip()
    assert all(len(part.text) <= longest and part.text.strip() == part.text for part in parts)
    assert all(part.text and (not part.gap or part.gap.isspace()) for part in parts) or parts == [Part("", "")]


@given(TEXT, st.integers(0, 12), st.sampled_from(["en", "ja", "th", None]))
@settings(max_examples=300)
def test_sentences_joined_are_the_line(text: str, usual: int, language: str | None) -> None:
    parts = cut_into_sentences(text, characters, usual, language)  # type: ignore[arg-type]
    assert joined(parts) == text.strip()
    assert all(part.text.strip() == part.text for part in parts)
    assert all(part.text for part in parts)


@pytest.mark.parametrize(
    ("text", "longest", "expected"),
    [
        ("One two. Three four. Five.", 4, ["One two. Three four.", "Five."]),
        ('He said "no." Then, he left.', 4, ['He said "no."', "Then, he left."]),
        ("a b c, d e f", 3, ["a b c,", "d e f"]),
        ("a b c d e", 2, ["a b", "c d", "e"]),
        ("short", 1, ["short"]),
    ],
)
def test_sentences_before_clauses_before_words(text: str, longest: int, expected: list[str]) -> None:
    assert [part.text for part in cut_to_fit(text, words, longest)] == expected  # type: ignore[arg-type]


def test_scripts_without_spaces_have_borders_too() -> None:
    parts = cut_to_fit("今日は。明日、雨。", characters, 4)  # type: ignore[arg-type]
    assert parts == [Part("今日は。", ""), Part("明日、", ""), Part("雨。", "")]


def test_a_character_is_not_parted_from_its_accents() -> None:
    assert [part.text for part in cut_to_fit("ae\u0301io", characters, 3)] == ["ae\u0301", "io"]  # type: ignore[arg-type]


def test_pieces_that_grow_together_are_cut_further() -> None:
    """A tokenizer may make more pieces of a text than of its parts."""

    def unruly(texts: list[str]) -> list[int]:
        return [len(text) + 3 * text.count(" ") for text in texts]

    parts = cut_to_fit("aa bb cc dd", unruly, 7)  # type: ignore[arg-type]
    assert [part.text for part in parts] == ["aa", "bb", "cc", "dd"]


def test_every_sentence_is_a_part_and_a_sentence_stays_whole() -> None:
    text = "One two.\u2003Three four five six.  Seven."
    assert cut_into_sentences(text, words, 3, "en") == [  # type: ignore[arg-type]
        Part("One two.", "\u2003"), Part("Three four five six.", "  "), Part("Seven.", ""),
    ]  # fmt: skip


def test_thai_is_cut_at_spaces_as_far_as_needed() -> None:
    text = "วันนี้อากาศดี พรุ่งนี้ฝนจะตก เขาไปตลาดแล้ว"
    usual = len("วันนี้อากาศดี พรุ่งนี้ฝนจะตก ")
    expected = [Part("วันนี้อากาศดี พรุ่งนี้ฝนจะตก", " "), Part("เขาไปตลาดแล้ว", "")]
    assert cut_into_sentences(text, characters, usual, "tha_Thai") == expected  # type: ignore[arg-type]
    # A word that is longer than usual is left whole.
    assert [part.text for part in cut_into_sentences(text, characters, 3, "th")] == text.split()  # type: ignore[arg-type]
