"""Parallel corpora in XLIFF 1.2 and 2.x, the exchange format of localisation tools."""

from collections.abc import Iterator
from pathlib import Path

from translator.errors import DataError
from translator.text.corpus import Corpus, Languages, Pair
from translator.text.formats.xml_stream import Attributes, Segment, XmlReader, read_xml
from translator.text.languages import language_code, same_language

_SKIPPED = "unit of XLIFF in other languages"
# Their content is markup of the original document; that of `g`, `pc` and `mrk` is text.
_CODES = frozenset({"bpt", "ept", "ph", "it", "sub"})
_UNITS = ("trans-unit", "segment")


class _Units(XmlReader):
    """Source and target of every segment, with the languages that the file says they are in."""

    def __init__(self) -> None:
        super().__init__()
        self.units: list[tuple[tuple[str, str], Pair]] = []
        self._path: list[str] = []
        self._languages = ("", "")
        self._sides: dict[str, str] = {}
        self._segment: Segment | None = None
        self._segment_depth = 0

    def start(self, name: str, attributes: Attributes) -> None:
        if not self._path and name != "xliff":
            raise DataError(f"found the element `{name[:40]}`, expected `xliff`; it is no XLIFF file")
        parent = self._path[-1] if self._path else ""
        self._path.append(name)
        if self._segment is not None:
            self._segment.start(name)
        elif parent in _UNITS and name in ("source", "target"):
            # Suggestions from a translation memory (`alt-trans`, `match`) have sources and targets, too.
            self._segment, self._segment_depth = Segment(_CODES), len(self._path)
        elif name in _UNITS:
            self._sides = {}
        elif name == "xliff" and "srcLang" in attributes:
            self._languages = attributes["srcLang"], attributes.get("trgLang", "")
        elif name == "file" and "source-language" in attributes:
            self._languages = attributes["source-language"], attributes.get("target-language", "")

    def end(self, name: str) -> None:
        if self._segment is None:
            if name in _UNITS:
                self.units.append((self._languages, (self._sides.get("source", ""), self._sides.get("target", ""))))
        elif len(self._path) == self._segment_depth:
            self._sides[name] = self._segment.result()
            self._segment = None
        else:
            self._segment.end()
        self._path.pop()

    def text(self, data: str) -> None:
        if self._segment is not None:
            self._segment.add(data)


def open_xliff(file: Path, wanted: Languages) -> Corpus:
    """Open an XLIFF file, in either direction; segments that are not translated yet have a blank target."""
    stated = next((reader.units[0][0] for reader in read_xml(file, _Units) if reader.units), ("", ""))  # type: ignore[attr-defined]
    codes = tuple(language_code(language) or language or None for language in stated)
    languages = wanted if wanted != (None, None) else (codes[0], codes[1])
    skipped: dict[str, int] = {}

    def pairs() -> Iterator[Pair]:
        others = count = 0
        for reader in read_xml(file, _Units):
            units = reader.units  # type: ignore[attr-defined]
            for found, pair in units:
                if _agree(languages, found):
                    yield pair
                elif _agree(languages, found[::-1]):
                    yield pair[::-1]
                else:
                    others += 1
                    continue
                count += 1
            units.clear()
        if others and not count:
            raise DataError(
                f"{file}: none of {others:,} segments is from {languages[0]} to {languages[1]}; found {stated[0]} to "
                f"{stated[1] or 'no language'}. Set data.source_language and data.target_language"
            )
        if others:
            skipped[_SKIPPED] = others

    return Corpus(str(file), [file], languages, pairs, skipped=skipped)


def _agree(wanted: Languages, found: tuple[str, str]) -> bool:
    """Whether two languages are those that are wanted; one that the file does not say may be any."""
    return all(not side or not other or same_language(side, other) for side, other in zip(wanted, found, strict=True))
