"""Pairs judged by their shape: the same text on both sides, very long sides, sides with few letters."""

import functools
import re
import unicodedata
from collections.abc import Callable


def are_identical(source: str, target: str) -> bool:
    """Whether both sides are the same text, whatever the case of its letters."""
    return source == target or source.casefold() == target.casefold()


def longer_than(characters: int) -> Callable[[str, str], bool]:
    """Return a judge of pairs with a side of more than so many characters."""
    return lambda source, target: len(source) > characters or len(target) > characters


def fewer_letters_than(share: float) -> Callable[[str, str], bool]:
    """Return a judge of pairs with a side on which letters are less than `share` of all but white space."""
    return lambda source, target: letter_share(source) < share or letter_share(target) < share


def letter_share(text: str) -> float:
    """Return the share of letters, with the marks that belong to them, among all characters but white space."""
    characters = "".join(text.split())
    letters = len(_NO_LETTERS.sub("", characters))
    if not characters.isascii():
        letters += len(_marks().findall(characters))
    return letters / max(len(characters), 1)


_NO_LETTERS = re.compile(r"[\W\d_]+")


@functools.cache
def _marks() -> re.Pattern[str]:
    """Return what `\\w` lacks of a word: combining marks, which are half of Devanagari or Thai."""
    # Those above U+FFFF are rare, and would make the search fifty times as slow.
    marks = (chr(code) for code in range(1 << 16) if unicodedata.category(chr(code))[0] == "M")
    return re.compile(f"[{''.join(marks)}]")
