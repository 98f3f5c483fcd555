"""Cutting a line that is too long for the model into parts that fit: at sentences, else clauses, words, characters."""

import re
import unicodedata
from collections.abc import Callable, Sequence

# After closing punctuation and the quotes and brackets that belong to it; scripts that use spaces need one there.
_BORDERS = (
    re.compile(r"""(?<=[.!?…؟۔।])(?:["'»”’)\]]*)\s+|(?<=[。！？｡])(?:[」』”’）]*)"""),
    re.compile(r"""(?<=[,;:،؛–—])(?:["'»”’)\]]*)\s+|(?<=[、，；：])(?:[」』”’）]*)"""),
    re.compile(r"\s+"),
)
_JOINERS = ("\u200d", "\ufe0f", "\ufe0e")

Count = Callable[[Sequence[str]], list[int]]
"""Returns the number of pieces of each text."""


def split_line(text: str, count: Count, longest: int) -> list[str]:
    """Return parts of `text`, in order, of at most `longest` pieces each; white space between parts is dropped.

    Parts end at the ends of sentences if those are close enough together, otherwise at clauses, then at words, and only
    then inside a word. Sentences are kept together as far as they fit. A single character with more than `longest`
    pieces is a part of its own.
    """
    return _split(text.strip(), count, longest, 0)


def _split(text: str, count: Count, longest: int, level: int) -> list[str]:
    atoms = _atoms(text, level)
    if len(atoms) == 1:
        return [text] if len(text) < 2 or count([text])[0] <= longest else _split(text, count, longest, level + 1)
    lengths = count(atoms)
    groups: list[list[str]] = [[]]
    room = longest
    for atom, length in zip(atoms, lengths, strict=True):
        if length > room and groups[-1]:
            groups.append([])
            room = longest
        groups[-1].append(atom)
        room -= length
    joined = ["".join(group).strip() for group in groups]
    parts: list[str] = []
    for part, length in zip(joined, count(joined), strict=True):
        if not part:
            continue
        # A joined text seldom has more pieces than its atoms; if it does, it is cut further.
        parts += [part] if length <= longest else _split(part, count, longest, level + (len(groups) == 1))
    return parts


def _atoms(text: str, level: int) -> list[str]:
    """Cut at all borders of a level; every atom keeps the white space after it."""
    if level >= len(_BORDERS):
        middle = len(text) // 2
        # Not between a character and one that modifies it.
        while 0 < middle < len(text) and (unicodedata.combining(text[middle]) or text[middle] in _JOINERS):
            middle += 1
        middle = middle if middle < len(text) else len(text) // 2
        return [half for half in (text[:middle], text[middle:]) if half]
    ends = [match.end() for match in _BORDERS[level].finditer(text)]
    cuts = [0, *(end for end in ends if 0 < end < len(text)), len(text)]
    return [text[begin:end] for begin, end in zip(cuts, cuts[1:], strict=False) if begin < end]
