"""What is translated: lines of text files, or the source side of parallel corpora with their references.

Every process reads all of it, from the beginning, and translates its share.
"""

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from translator.config import DataSettings
from translator.errors import DataError
from translator.text import Corpus, InputLines, count_lines, hash_file, open_corpus, open_input
from translator.text.corpus import KNOWN_COLUMNS
from translator.text.languages import same_language
from translator.text.open_corpus import is_corpus


class Line(NamedTuple):
    """A line to translate."""

    text: str
    reference: str | None = None
    """Its translation by a person, if there is one."""


class Lines(Protocol):
    """Lines that can be read repeatedly."""

    @property
    def has_references(self) -> bool:
        """Whether every line has a reference."""
        ...

    def identity(self) -> list[str]:
        """Identify the lines by content."""
        ...

    def count(self) -> int | None:
        """Return how many there are, if that is known before they are read."""
        ...

    def __iter__(self) -> Iterator[Line]:
        """Read the lines from the beginning."""
        ...


class TextLines:
    """The lines of text files, plain or compressed, one file after the other."""

    has_references = False

    def __init__(self, files: Sequence[Path], *, refuse: bool = False) -> None:
        """`refuse` is as in `decode_lines`. Raises `DataError` for what cannot be read twice, such as a pipe."""
        self._files, self._refuse = list(files), refuse
        for file in self._files:
            open_input(file).close()
            if not stat.S_ISREG(file.stat().st_mode):
                raise DataError(
                    f"{file} is no file, so it cannot be read again to continue or by several processes; expected a "
                    "file of text, plain or compressed"
                )

    def identity(self) -> list[str]:
        """See `Lines`: the hashes of the files, by content and not by name."""
        return [f"text {hash_file(file)}" for file in self._files]

    def count(self) -> int | None:
        """See `Lines`."""
        counts = [count_lines(file) for file in self._files]
        return sum(count for count in counts if count is not None) if None not in counts else None

    def __iter__(self) -> Iterator[Line]:
        """See `Lines`: as many as were written, as `translator translate` reads them."""
        inputs = [(str(file), open_input(file)) for file in self._files]
        return (Line(text) for text in InputLines(inputs, refuse=self._refuse))


class CorpusLines:
    """The source side of a parallel corpus, whose target side has the references."""

    has_references = True

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus

    def identity(self) -> list[str]:
        """See `Lines`."""
        return [f"corpus {self._corpus.fingerprint()}"]

    def count(self) -> int | None:
        """See `Lines`: not known without reading all formats."""
        return None

    def __iter__(self) -> Iterator[Line]:
        """See `Lines`."""
        return (Line(source, target) for source, target in self._corpus.pairs())


def lines_of(names: Sequence[str], data: DataSettings, to: str | None = None, *, refuse: bool = False) -> Lines:
    """Return the lines of files of text, or of one parallel corpus, for a run with these settings.

    The corpus is read in the direction of the run, or, if that has several source languages, in its own that ends in
    `to`, which is as in `Wanted`; `refuse` is as in `TextLines`. Raises `DataError` for what cannot be opened.
    """
    corpora = [name for name in names if is_corpus(name)]
    if not corpora:
        return TextLines([Path(name) for name in names], refuse=refuse)
    if len(names) > 1:
        raise DataError(
            f"{corpora[0]} is a parallel corpus, and {len(names)} inputs are given; give one corpus, or text alone"
        )
    if data.source_language is None and to is not None:
        return CorpusLines(_corpus_into(corpora[0], to))
    return CorpusLines(open_corpus(corpora[0], data.source_language, to or data.target_language))


def _corpus_into(name: str, to: str) -> Corpus:
    """Open a corpus with its target side in the language `to`, as far as it says which languages it has."""
    corpus = open_corpus(name)
    first, second = corpus.languages
    if first is None or second is None or corpus.languages in KNOWN_COLUMNS or same_language(to, second):
        return corpus
    if not same_language(to, first):
        raise DataError(f"{name} has the languages {first} and {second}; expected {to} as one of them")
    return open_corpus(name, second, first)
