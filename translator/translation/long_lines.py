"""Cutting a line into parts to translate: into its sentences, and what does not fit into the model further.

A line that is longer than what the model was trained on is cut at every end of a sentence, because a model that has
seen single sentences writes a single one. A part that is longer than the model's limit is cut at clauses, else words,
else characters; there, what fits together is kept together.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

from translator.text.sentences import SPACES_END_SENTENCES, base_language, split_sentences

# After closing punctuation and the quotes and brackets that belong to it; scripts that use spaces need one there.
_BORDERS = (
    re.compile(r"""(?<=[.!?…؟۔।])(?:["'»”’)\]]*)\s+|(?<=[。！？｡])(?:[」』”’）]*)"""),
    re.compile(r"""(?<=[,;:،؛–—])(?:["'»”’)\]]*)\s+|(?<=[、，；：])(?:[」』”’）]*)"""),
    re.compile(r"\s+"),
)
_JOINERS = ("\u200d", "\ufe0f", "\ufe0e")

Count = Callable[[Sequence[str]], list[int]]
"""Returns the number of pieces of each text."""


class Part(NamedTuple):
    """What is translated at once, and what follows it in the line."""

    text: str
    """Begins and ends with a character that is not white space."""
    gap: str
    """The white space between this part and the next; empty if there is none, as in Chinese, and at the end."""


def cut_into_sentences(text: str, count: Count, usual: int, language: str | None) -> list[Part]:
    """Return the sentences of a text that has more than `usual` pieces, in order.

    Joined, the parts with their gaps are the text without white space at its ends. Thai and Lao end sentences with
    spaces, which are also between clauses: those texts are cut at spaces into parts of up to `usual` pieces.
    """
    sentences = split_sentences(text.strip(), language)
    if base_language(language) in SPACES_END_SENTENCES:
        return [part for sentence in sentences for part in _cut(sentence, count, usual, 2, len(_BORDERS))]
    return [_part(sentence) for sentence in sentences]


def cut_to_fit(text: str, count: Count, longest: int) -> list[Part]:
    """Return parts of `text`, in order, of at most `longest` pieces each, as `cut_into_sentences`.

    Parts end at the ends of sentences if those are close enough together, otherwise at clauses, then at words, and only
    then inside a word. Sentences are kept together as far as they fit. A single character with more than `longest`
    pieces is a part of its own.
    """
    return _cut(text.strip(), count, longest, 0)


def _cut(text: str, count: Count, longest: int, level: int, end: int | None = None) -> list[Part]:
    """Cut `text`, which may end with white space, at the borders of a level, or of deeper ones before level `end`."""
    atoms = _atoms(text, level)
    if len(atoms) == 1:
        is_done = len(text) < 2 or level + 1 == end or count([text])[0] <= longest
        return [_part(text)] if is_done else _cut(text, count, longest, level + 1, end)
    lengths = count(atoms)
    groups: list[list[str]] = [[]]
    room = longest
    for atom, length in zip(atoms, lengths, strict=True):
        if length > room and groups[-1]:
            groups.append([])
            room = longest
        groups[-1].append(atom)
        room -= length
    joined = ["".join(group) for group in groups]
    parts: list[Part] = []
    for part, length in zip(joined, count([part.strip() for part in joined]), strict=True):
        # A joined text seldom has more pieces than its atoms; if it does, it is cut further.
        is_done = length <= longest or (level + (len(groups) == 1) == end)
        own = [_part(part)] if is_done else _cut(part, count, longest, level + (len(groups) == 1), end)
        if parts and not own[0].text:
            # White space alone, such as the end of what was cut by character, belongs to the gap before it.
            parts[-1] = Part(parts[-1].text, parts[-1].gap + own[0].gap)
            own = own[1:]
        parts += own
    return parts


def _part(text: str) -> Part:
    content = text.rstrip()
    return Part(content, text[len(content) :])


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
