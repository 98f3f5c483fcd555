"""Lines of a stream that somebody pipes through a command: never fewer and never more than were written.

Unlike a corpus (`lines`), it is read leniently: what is not UTF-8 is replaced and reported, never lost.
"""

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from translator.errors import DataError
from translator.runtime.console import warn
from translator.text.lines import GZIP_MAGIC, UTF8_MARK

_FOREIGN_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def open_input(path: Path) -> BinaryIO:
    """Open a file of text, plain or gzip'd (told by content); raise `DataError` where it cannot be read."""
    try:
        file = path.open("rb")
        packed = file.peek(2)[:2] == GZIP_MAGIC  # a pipe cannot go back
        return cast(BinaryIO, gzip.open(file)) if packed else file
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None


def decode_lines(stream: Iterable[bytes], name: str) -> Iterator[str]:
    """Yield the lines of `stream` (bytes up to a line feed, which the last may lack) as text without it.

    A byte order mark at the beginning is dropped. Bytes that are not UTF-8 become U+FFFD, with one warning at
    the end that names their lines. Raises `DataError` for UTF-16, and for a damaged gzip file; `name` is what
    messages call the stream.
    """
    damaged: list[int] = []
    for number, data in enumerate(_intact(stream, name), start=1):
        if number == 1:
            encoding = _FOREIGN_MARKS.get(data[:2])
            if encoding is not None:
                raise DataError(f"{name} is {encoding}; expected UTF-8. Convert it: `iconv -f {encoding} -t UTF-8`")
            data = data.removeprefix(UTF8_MARK)
        try:
            line = data.decode("utf-8")
        except UnicodeDecodeError:
            damaged.append(number)
            line = data.decode("utf-8", errors="replace")
        yield line.removesuffix("\n")
    if damaged:
        warn(f"{name}: {describe_lines(damaged)} not valid UTF-8; the bytes that are not became U+FFFD")


def describe_lines(numbers: list[int], shown: int = 10) -> str:
    """Name lines for a message: `line 3 is`, `lines 3, 8 are` or `lines 3, 8, ... (120 in all) are`."""
    if len(numbers) == 1:
        return f"line {numbers[0]} is"
    names = ", ".join(map(str, numbers[:shown]))
    more = f", ... ({len(numbers):,} in all)" if len(numbers) > shown else ""
    return f"lines {names}{more} are"


def _intact(stream: Iterable[bytes], name: str) -> Iterator[bytes]:
    number = 0
    try:
        for number, data in enumerate(stream, start=1):  # noqa: B007
            yield data
    except (OSError, EOFError) as error:
        raise DataError(
            f"{name} cannot be read after line {number:,}: {error}. The file is damaged or truncated"
        ) from None
