"""Text as labels that cannot harm a terminal or a picture: what is invisible or commands something is spelled out."""

import unicodedata

KIND_TITLES = {
    "encoder": "encoder self-attention",
    "decoder": "masked decoder self-attention",
    "cross": "cross-attention",
}
ROW_TITLES = {"encoder": "source piece", "decoder": "target piece", "cross": "predicted target piece"}
COLUMN_TITLES = {"encoder": "source piece", "decoder": "target piece looked at", "cross": "source piece"}

_JOINERS = "\u200c\u200d"
"""Zero-width characters that writing needs, in Persian, in the scripts of India, and in emoji."""


def readable(text: str) -> str:
    r"""Spell control characters, line breaks, directions, surrogates and unassigned characters as `\x1b`, `\u202e`."""
    return "".join(_spelled(character) for character in text)


def _spelled(character: str) -> str:
    category = unicodedata.category(character)
    harmful = category[0] == "C" and character not in _JOINERS or category in ("Zl", "Zp")
    return character.encode("unicode_escape").decode("ascii") if harmful else character
