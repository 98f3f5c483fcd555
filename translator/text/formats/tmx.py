"""Parallel corpora in TMX, the exchange format of translation memories."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from translator.errors import DataError
from translator.text.corpus import Corpus, Languages, Pair
from translator.text.formats.xml_stream import Attributes, Segment, XmlReader, read_xml
from translator.text.languages import language_code, same_language

_SKIPPED = "unit of TMX without both languages"
CODES = frozenset({"bpt", "ept", "ph", "it", "ut"})
"""Inline elements whose content is markup of the original document. That of `hi` is text."""


class _Units(XmlReader):
    """The translation units of a TMX file, each a list of (language, text)."""

    def __init__(self) -> None:
        super().__init__()
        self.units: list[list[tuple[str, str]]] = []
        self.source_language = ""
        self._is_tmx = False
        self._unit: list[tuple[str, str]] = []
        self._language = ""
        self._segment: Segment | None = None

    def start(self, name: str, attributes: Attributes) -> None:
        if not self._is_tmx:
            if name != "tmx":
                raise DataError(f"found the element `{name[:40]}`, expected `tmx`; it is no TMX file")
            self._is_tmx = True
        elif self._segment is not None:
            self._segment.start(name)
        elif name == "seg":
            self._segment = Segment(CODES)
        elif name == "tuv":
            self._language = attributes.get("xml:lang") or attributes.get("lang") or ""
        elif name == "tu":
            self._unit = []
        elif name == "header":
            self.source_language = attributes.get("srclang", "")

    def end(self, name: str) -> None:
        if self._segment is None:
            if name == "tu":
                self.units.append(self._unit)
        elif name == "seg":
            self._unit.append((self._language, self._segment.result()))
            self._segment = None
        else:
            self._segment.end()

    def text(self, data: str) -> None:
        if self._segment is not None:
            self._segment.add(data)


def open_tmx(file: Path, wanted: Languages) -> Corpus:
    """Open a TMX file; without `wanted` languages, its first unit must have two, which become those of the corpus.

    A language may be written with or without region (`en` finds `EN-US`). Units that lack one of the two are skipped
    and counted. The file is read in blocks, so host memory does not grow with it.
    """
    languages = wanted if wanted != (None, None) else _languages_of(file)
    source, target = str(languages[0]), str(languages[1])
    skipped: dict[str, int] = {}

    def pairs() -> Iterator[Pair]:
        missing = count = 0
        found: Counter[str] = Counter()
        for reader in read_xml(file, _Units):
            units = reader.units  # type: ignore[attr-defined]
            for unit in units:
                sides = _text_in(unit, source), _text_in(unit, target)
                if sides[0] is None or sides[1] is None:
                    missing += 1
                    if len(found) < 1000:
                        found.update(language for language, _ in unit)
                else:
                    count += 1
                    yield sides[0], sides[1]
            units.clear()
        if missing and not count:
            listed = ", ".join(f"{language or 'none'} ({number:,})" for language, number in found.most_common(12))
            raise DataError(
                f"{file}: none of {missing:,} units has both {source} and {target}; found {listed}. Set "
                "data.source_language and data.target_language to two of them"
            )
        if missing:
            skipped[_SKIPPED] = missing

    return Corpus(str(file), [file], languages, pairs, skipped=skipped)


def _text_in(unit: list[tuple[str, str]], language: str) -> str | None:
    """Return the text in a language, and of several variants the one whose code is the same."""
    exact = (text for found, text in unit if found == language)
    close = (text for found, text in unit if same_language(language, found))
    return next(exact, None) or next(close, None)


def _languages_of(file: Path) -> tuple[str, str]:
    """Return the two languages of the first unit, the source language of the header first."""
    for reader in read_xml(file, _Units):
        if units := reader.units:  # type: ignore[attr-defined]
            written = list(dict.fromkeys(language for language, _ in units[0]))
            break
    else:
        return "source", "target"  # A corpus without pairs is refused elsewhere.
    if len(written) != 2 or "" in written:
        listed = ", ".join(language or "none" for language in written) or "none"
        raise DataError(
            f"{file}: the first unit has the languages {listed}, expected two; set data.source_language and "
            "data.target_language"
        )
    if same_language(reader.source_language or written[0], written[1]):  # type: ignore[attr-defined]
        written.reverse()
    codes = [language_code(language) or language for language in written]
    return (codes[0], codes[1]) if codes[0] != codes[1] else (written[0], written[1])
