"""A glossary: which terms of the source are translated as which terms, read from a table and found in lines.

A term is found as whole words, wherever it stands: white space between its words may be of any kind and length, and
letters that Unicode can write in several ways are the same (NFC). A term without a capital letter is found in any
case (`house` in `House` and `HOUSE`); one with a capital letter as it is written (`US` is not found in `us`). Scripts
without spaces between words (Chinese, Japanese, Thai, ...) have no whole words, so there a term is found anywhere.
At each position the longest term counts, and terms do not overlap: `machine learning` hides the `machine` in it.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

from translator.errors import DataError
from translator.text import read_lines

_UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao; Tibetan; Burmese; Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"  # Kana, Han
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)


class Term(NamedTuple):
    """A term of the source language and what it is called in the target language."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source!r} -> {self.target!r}"


class Glossary:
    """Terms, and where lines hold them. Several threads may use one."""

    def __init__(self, terms: Mapping[str, str] | Iterable[tuple[str, str]], name: str = "the glossary") -> None:
        """`terms` are pairs of a source term and a target term; `name` is for messages, which count terms from 1.

        A pair may be there more than once. Raises `DataError` if a term has no text, or if a source term has two
        target terms.
        """
        pairs = terms.items() if isinstance(terms, Mapping) else terms
        self.name = name
        self.terms = _distinct([(f"{name}, term {index}", *pair) for index, pair in enumerate(pairs, start=1)])

    @classmethod
    def read(cls, path: str | Path) -> "Glossary":
        """Read a table of two columns with a tab between them, a term in each line; blank lines count for nothing.

        It is UTF-8, plain or compressed. Raises `DataError` with file and line for what is no such table, and as
        the constructor does.
        """
        rows = []
        for number, line in enumerate(read_lines(path), start=1):
            where, line = f"{path}, line {number:,}", line.removesuffix("\r")
            if not line.strip():
                continue
            columns = line.split("\t")
            if len(columns) != 2:
                raise DataError(
                    f"{where}: found {len(columns)} column{'s' * (len(columns) > 1)}, expected 2: a source term, a tab "
                    "and a target term"
                )
            rows.append((where, columns[0], columns[1]))
        glossary = cls((), str(path))
        glossary.terms = _distinct(rows)
        return glossary

    @property
    def digest(self) -> str:
        """A digest of the terms, which changes if any of them does."""
        text = "\n".join(f"{term.source}\t{term.target}" for term in sorted(self.terms))
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def find(self, text: str) -> list[Term]:
        """Return the terms that a text holds, each once, in the order in which they come first."""
        words = _words(text)
        folded = [word.lower() for word in words]
        found: dict[Term, None] = {}
        position = 0
        while position < len(words):
            term, length = self._longest(words, folded, position)
            if term is not None:
                found[term] = None
            position += length
        return list(found)

    def _longest(self, words: Sequence[str], folded: Sequence[str], position: int) -> tuple[Term | None, int]:
        """Return the longest term that begins at a position, and the words to skip before the next search."""
        exact, any_case, lengths = self._index
        for length in lengths.get(folded[position], ()):
            # The term that is written just so comes before the one in any case.
            term = exact.get(tuple(words[position : position + length]))
            term = term or any_case.get(tuple(folded[position : position + length]))
            if term is not None:
                return term, length
        return None, 1

    @cached_property
    def _index(self) -> tuple[dict[tuple[str, ...], Term], dict[tuple[str, ...], Term], dict[str, list[int]]]:
        """Terms with capital letters, those without, by their words; numbers of words by first word, largest first."""
        exact: dict[tuple[str, ...], Term] = {}
        any_case: dict[tuple[str, ...], Term] = {}
        lengths: dict[str, set[int]] = {}
        for term in self.terms:
            words = tuple(_words(term.source))
            folded = tuple(word.lower() for word in words)
            (any_case if words == folded else exact)[words] = term
            lengths.setdefault(folded[0], set()).add(len(words))
        return exact, any_case, {word: sorted(own, reverse=True) for word, own in lengths.items()}


def _distinct(rows: Iterable[tuple[str, str, str]]) -> tuple[Term, ...]:
    """Return the terms of rows (where, source, target), each once."""
    found: dict[tuple[str, ...], tuple[Term, str]] = {}
    for where, source, target in rows:
        term = Term(source.strip(), target.strip())
        words = tuple(_words(term.source))
        if not words or not term.target:
            side = "target" if words else "source"
            raise DataError(f"{where}: found no {side} term; expected text on both sides")
        known, first = found.setdefault(words, (term, where))
        if known.target != term.target:
            raise DataError(
                f"{where}: {term} contradicts {known} ({first.rpartition(', ')[2]}); a source term has one target "
                "term, so leave one of the two out"
            )
    return tuple(term for term, _ in found.values())


def _words(text: str) -> list[str]:
    """Return the words of a text; a character of a script without spaces, or a punctuation mark, is one of its own."""
    return _word_pattern().findall(unicodedata.normalize("NFC", text))


@lru_cache(1)
def _word_pattern() -> re.Pattern[str]:
    # Accents and vowel signs that follow a letter belong to its word, which `\w` does not know.
    marks = "".join(letter for letter in map(chr, range(0x20000)) if unicodedata.category(letter).startswith("M"))
    marks = re.sub(f"[{_UNSPACED}]", "", marks)
    return re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[\w{marks}])+|[^\w\s]")
