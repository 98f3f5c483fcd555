"""The automata against a search for the phrases in the text itself."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translator.decoding.constraints.automata import BannedText, RequiredPhrases, TokenBytes
from translator.errors import ConfigError

PIECES = [
    "<s>",
    "▁",
    "a",
    "b",
    "▁a",
    "ab",
    "▁ab",
    "▁b▁a",
    "é",
    "<0xC3>",
    "<0xA9>",
    "<0x61>",
    "<0x20>",
    "▁▁a",
    "\u0301",
    "<0x0A>",
]
SPELT = [b"", b" ", b"a", b"b", b" a", b"ab", b" ab", b" b a", "é".encode(), b"\xc3", b"\xa9", b"a", b" ", b"  a"]
SPELT += ["\u0301".encode(), b"\n"]
TOKEN_BYTES = TokenBytes(PIECES, silent=[0])


def occurrences(pieces: list[int], phrases: list[str]) -> int:
    text = b" ".join(re.split(rb"\s+", b" " + b"".join(SPELT[piece] for piece in pieces)))
    return sum(text.startswith(b" " + phrase.encode(), index) for phrase in phrases for index in range(len(text)))


phrases_of_text = st.lists(
    st.lists(st.text("abé", min_size=1, max_size=3), min_size=1, max_size=2).map(" ".join),
    min_size=1,
    max_size=3,
    unique=True,
)


@given(phrases=phrases_of_text, pieces=st.lists(st.integers(0, len(PIECES) - 1), max_size=8))
def test_forbidden_pieces_are_those_that_complete_a_banned_phrase(phrases: list[str], pieces: list[int]) -> None:
    banned = BannedText(TOKEN_BYTES, phrases)
    state = banned.start
    for index, piece in enumerate(pieces):
        before = pieces[:index]
        found = occurrences(before, phrases)
        expected = [other for other in range(len(PIECES)) if occurrences([*before, other], phrases) > found]
        assert banned.forbidden(state).tolist() == expected
        state = banned.advance(state, piece)


@pytest.mark.parametrize(
    ("pieces", "contains"),
    [
        (["cat"], True),
        (["▁cat"], True),
        (["▁c", "at", "s"], True),
        (["▁", "c", "<0x61>", "t"], True),
        (["▁con", "cat"], False),
        (["▁the", "▁ca"], False),
        (["▁the", "▁ca", "▁t"], False),
        (["<0x20>", "cat"], True),
        (["▁a▁cat"], True),
    ],
)
def test_a_phrase_is_found_however_it_is_spelt_and_only_at_the_beginning_of_a_word(
    pieces: list[str], contains: bool
) -> None:
    banned = BannedText(TokenBytes(pieces), ["cat"])
    state, found = banned.start, False
    for piece in range(len(pieces)):
        found |= piece in banned.forbidden(state)
        state = banned.advance(state, piece)
    assert found is contains


def test_white_space_in_a_banned_phrase_is_any_white_space() -> None:
    token_bytes = TokenBytes(["▁black", "▁", "▁cat", "cat"])
    for phrase in ("black cat", "  black \t cat ", "black▁cat"):
        banned = BannedText(token_bytes, [phrase])
        state = banned.advance(banned.start, 0)
        assert banned.forbidden(state).tolist() == [2]
        assert banned.forbidden(banned.advance(state, 1)).tolist() == [2, 3]


@pytest.mark.parametrize("phrase", ["", " ", "▁"])
def test_a_banned_phrase_without_text_is_an_error(phrase: str) -> None:
    with pytest.raises(ConfigError, match="banned phrase has no text"):
        BannedText(TOKEN_BYTES, ["a", phrase])


def test_nothing_is_forbidden_without_phrases() -> None:
    banned = BannedText(TOKEN_BYTES, [])
    assert banned.forbidden(banned.advance(banned.start, 4)).tolist() == []


sequences = st.lists(st.lists(st.integers(3, 5), min_size=1, max_size=3), min_size=1, max_size=3)


@given(phrases=sequences, tokens=st.lists(st.integers(2, 5), max_size=8))
def test_required_phrases_are_followed(plain_rules: type, phrases: list[list[int]], tokens: list[int]) -> None:
    required = RequiredPhrases(phrases)
    plain = plain_rules(required=tuple(tuple(phrase) for phrase in phrases))
    state, met = 0, 0
    for length in range(len(tokens) + 1):
        held = tuple(tokens[:length])
        assert {phrase for index, phrase in enumerate(required.phrases) if met >> index & 1} == set(plain.met(held))
        assert required.progress(state, met) == plain.progress(held)
        assert (required.begun(state, met) > 0) == (plain.begun(held) > 0)
        # A token is wanted if it begins a missing phrase, or continues a beginning that the hypothesis ends with.
        missing = set(plain.required) - set(plain.met(held))
        wanted = {
            phrase[size]
            for phrase in missing
            for size in range(len(phrase))
            if size <= length and held[length - size :] == phrase[:size]
        }
        found = required.wanted(state, met)
        assert set(found) == wanted
        assert len(found) == len(wanted)
        if found:
            # The first one continues the longest beginning.
            longer = required.advance(state, met, found[0])
            assert required.progress(*longer) > required.progress(state, met)
        if length < len(tokens):
            state, met = required.advance(state, met, tokens[length])
