"""XML read as a stream of events, in bounded host memory, and safely: no entities, no DTD, no depth without end.

`xml.etree.iterparse` gives no hook to refuse the declaration of an entity, so the parser below it is used directly.
"""

import re
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast
from xml.parsers import expat

from translator.errors import DataError
from translator.text.compression import DamagedStream, decompressed
from translator.text.corpus_lines import MAX_LINE_BYTES

_BLOCK_BYTES = 1 << 16
_MAX_DEPTH = 100

_SPACE = re.compile(r"[ \t\r\n]+")

Attributes = dict[str, str]


class XmlReader:
    """What a format does with the elements of a file; `pairs` of what was read so far are taken after each block."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, str]] = []

    def start(self, name: str, attributes: Attributes) -> None:
        """Begin an element; `name` has no prefix."""

    def end(self, name: str) -> None:
        """End an element."""

    def text(self, data: str) -> None:
        """Read a part of the text of the current element."""


def read_xml(file: Path, new_reader: Callable[[], XmlReader]) -> Iterator[XmlReader]:
    """Yield one reader repeatedly, each time that it may have new `pairs`, which the caller takes out of it.

    Raises `DataError` with file and line if the XML is damaged, declares entities, or is nested without end.
    """
    reader = new_reader()
    parser = _parser(reader, file)
    given = 0
    try:
        with cast(BinaryIO, file.open("rb")) as raw, decompressed(raw) as stream:
            while block := cast(BufferedReader, stream).read1(_BLOCK_BYTES):
                given += len(block)
                parser.Parse(block, False)
                # Expat keeps a tag until it is whole.
                if given - parser.CurrentByteIndex > MAX_LINE_BYTES:
                    raise DataError(f"something in it is longer than {MAX_LINE_BYTES >> 20} MiB")
                yield reader
            parser.Parse(b"", True)
            yield reader
    except DamagedStream as error:
        raise DataError(f"{file}, line {parser.CurrentLineNumber:,}: {error}") from None
    except DataError as error:
        if str(error).startswith(str(file)):
            raise
        raise DataError(f"{file}, line {parser.CurrentLineNumber:,}: {error}") from None
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise DataError(f"{file}, line {error.lineno:,}: not valid XML ({reason})") from None
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from None
    except (LookupError, ValueError) as error:
        raise DataError(f"{file}, line {parser.CurrentLineNumber:,}: not valid XML ({error})") from None


def _parser(reader: XmlReader, file: Path) -> Any:
    parser = expat.ParserCreate()
    parser.buffer_text = True
    depth = 0

    def start(name: str, attributes: Attributes) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise DataError(f"elements are nested more than {_MAX_DEPTH} deep")
        reader.start(name.rpartition(":")[2], attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        reader.end(name.rpartition(":")[2])

    def refuse(*declaration: Any) -> None:
        raise DataError(
            f"it declares the entity `{str(declaration[0])[:40]}`; entities can expand without end and read other "
            "files, so they are refused. Replace them with the text that they stand for"
        )

    def refuse_undefined(name: str, *_: Any) -> None:
        raise DataError(f"the entity `&{name[:40]};` is not defined in it; replace it with the character")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = reader.text
    parser.EntityDeclHandler, parser.SkippedEntityHandler = refuse, refuse_undefined
    # A DTD that is only named (as TMX files name tmx14.dtd) is never read.
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    return parser


class Segment:
    """The text of a segment, without the codes of inline elements and with one space for each run of white space."""

    def __init__(self, codes: frozenset[str]) -> None:
        """`codes` are the elements whose content is not text."""
        self._codes = codes
        self._parts: list[str] = []
        self._length = 0
        self._inside_codes = 0

    def start(self, name: str) -> None:
        """Begin an inline element."""
        if self._inside_codes or name in self._codes:
            self._inside_codes += 1

    def end(self) -> None:
        """End an inline element."""
        if self._inside_codes:
            self._inside_codes -= 1

    def add(self, data: str) -> None:
        """Add text, unless it is inside a code; raise `DataError` if there is too much of it."""
        if not self._inside_codes:
            self._parts.append(data)
            self._length += len(data)
            if self._length > MAX_LINE_BYTES:
                raise DataError(f"a segment is longer than {MAX_LINE_BYTES >> 20} MiB")

    def result(self) -> str:
        """Return the text."""
        text = "".join(self._parts)
        # Only the white space of XML: spaces that do not break and ideographic ones are part of the text.
        if "\n" in text or "\t" in text or "\r" in text or "  " in text:
            text = _SPACE.sub(" ", text)
        return text.strip(" ")
