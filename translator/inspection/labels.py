"""Labels that cannot harm a terminal or a picture: invisible and control characters are escaped."""

import unicodedata

KIND_TITLES = {
    "encoder": "encoder self-attention",
    "decoder": "masked decoder self-attention",
    "cross": "cross-attention",
}
ROW_TITLES = {"encoder": "source piece", "decoder": "target piece", "cross": "predicted target piece"}
COLUMN_TITLES = {"encoder": "source piece", "decoder": "target piece looked at", "cross": "source piece"}

_JOINERS = "\u200c\u200d"
"""Zero-width characters that are needed in Persian, in the scripts of India and in emoji."""


def readable(text: str) -> str:
    r"""Escape control and direction characters, line breaks, surrogates and unassigned characters, as in `\x1b`."""
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    category = unicodedata.category(character)
    harmful = category[0] == "C" and character not in _JOINERS or category in ("Zl", "Zp")
    return character.encode("unicode_escape").decode("ascii") if harmful else character
