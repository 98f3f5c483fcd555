"""Word alignments of sentence pairs in Pharaoh format: `0-0 1-2`, as eflomal, fast_align and awesome-align write them.

A link joins a word of the source to one of the target, both counted from 0. Words are what white space of any kind
separates, as in `str.split`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from translator.errors import DataError
from translator.runtime.counted import counted
from translator.text.corpus_lines import read_lines

WordLinks = frozenset[tuple[int, int]]
"""Linked words (source, target)."""

_LINK = re.compile(r"(\d{1,6})[-?](\d{1,6})", re.ASCII)


def parse_links(line: str, source: str, target: str, where: str) -> WordLinks:
    """Read the links of a sentence pair; possible links, `0?0`, count too.

    Raises `DataError`, which begins with `where`, if something else is found or a sentence has no such word.
    """
    found, words = set(), (len(source.split()), len(target.split()))
    for text in line.split():
        link = _LINK.fullmatch(text)
        if link is None:
            raise DataError(
                f"{where}: found {text[:40]!r}, expected links such as 0-2 (a word of the source, a word of the "
                "target, counted from 0); write the alignment in Pharaoh format"
            )
        left, right = int(link[1]), int(link[2])
        if left >= words[0] or right >= words[1]:
            raise DataError(f"{where}: found the link {text}, expected {_range_of(words)}")
        found.add((left, right))
    return frozenset(found)


def _range_of(words: tuple[int, int]) -> str:
    if not all(words):
        return "no link, since a side has no words; align the text as it is here, a line for each pair"
    return (
        f"words from 0 to {words[0] - 1} of the source and {words[1] - 1} of the target; align the text as it is here, "
        "with the source first, a line for each pair"
    )


@dataclass(frozen=True)
class AlignmentFile:
    """A file with the word links of every pair of a corpus, a line for each, plain or compressed."""

    path: Path
    corpus: str
    """What messages call the corpus."""

    def lines(self) -> Iterator[str]:
        """Start reading at the first pair; raise `DataError` if the file cannot be read."""
        return read_lines(self.path)

    def parse(self, line: str, index: int, pair: tuple[str, str]) -> WordLinks:
        """Return the links of the pair at `index` in the corpus, as `parse_links` does."""
        return parse_links(line, *pair, f"{self.path}, line {index + 1:,} ({self.corpus})")

    def require_lines(self, found: int, pairs: int) -> None:
        """Raise `DataError` unless there is a line for each pair."""
        if found != pairs:
            raise DataError(
                f"{self.path} has {counted(found, 'line')}, expected {pairs:,}, one for each pair of {self.corpus}; "
                "align the corpus as it is, with a blank line for a pair without links"
            )
