"""Cutting long lines: nothing is lost, everything fits, and borders are where a reader would put them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.translation.long_lines import split_line

TEXT = st.text(
    st.one_of(st.sampled_from("ab.,!? \u3002\u3001\u0301\u200d\u00a0\U0001f642"), st.characters()), max_size=60
)


def characters(texts: list[str]) -> list[int]:
    return [len(text) for text in texts]


def words(texts: list[str]) -> list[int]:
    return [len(text.split()) for text in texts]


@given(TEXT, st.integers(1, 12))
@settings(max_examples=300, deadline=None)
def test_nothing_but_space_is_lost_and_all_parts_fit(text: str, longest: int) -> None:
    parts = split_line(text, characters, longest)  # type: ignore[arg-type]
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(len(part) <= longest and part.strip() == part for part in parts)
    assert all(parts) or parts == [""]


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
    assert split_line(text, words, longest) == expected  # type: ignore[arg-type]


def test_scripts_without_spaces_have_borders_too() -> None:
    assert split_line("今日は。明日、雨。", characters, 4) == ["今日は。", "明日、", "雨。"]  # type: ignore[arg-type]


def test_a_character_is_not_parted_from_its_accents() -> None:
    assert split_line("ae\u0301io", characters, 3) == ["ae\u0301", "io"]  # type: ignore[arg-type]


def test_pieces_that_grow_together_are_cut_further() -> None:
    """A tokenizer may make more pieces of a text than of its parts."""

    def unruly(texts: list[str]) -> list[int]:
        return [len(text) + 3 * text.count(" ") for text in texts]

    parts = split_line("aa bb cc dd", unruly, 7)  # type: ignore[arg-type]
    assert parts == ["aa", "bb", "cc", "dd"]
