"""Lines of input that a user gives a command: exactly as many as were written.

Unlike a corpus (`corpus_lines`), input is read leniently: what is not UTF-8 is replaced and reported, never lost.
Host memory is bounded: a line is read up to `MAX_LINE_BYTES`.
"""

import io
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from translator.errors import DataError
from translator.runtime.console import warn
from translator.text.compression import DamagedStream, decompressed
from translator.text.corpus_lines import BLOCK_BYTES
from translator.text.encoding import SAMPLE_BYTES, UTF8_BOM, refuse_foreign
from translator.text.raw_lines import MAX_LINE_BYTES, ArrivingLines, Raw, bounded_lines, open_arriving

FIRST_BLOCK = 64
"""Lines in the first block: few, so that the first translations appear soon."""
LARGEST_BLOCK = 4096
"""Most lines in a block. Its lines are sorted by length together, and it bounds the host memory."""

Line = TypeVar("Line")


def blocks_of(
    lines: Iterable[Line], size: int | None = None, waits: Callable[[], bool] | None = None
) -> Iterator[list[Line]]:
    """Group lines, `size` at a time; by default blocks begin small and double.

    A block also ends if `waits` says that the next line has not arrived yet.
    """
    count, block = size or FIRST_BLOCK, list[Line]()
    for line in lines:
        block.append(line)
        if len(block) == count or (waits is not None and waits()):
            if len(block) == count and not size:
                count = min(2 * count, LARGEST_BLOCK)
            yield block
            block = []
    if block:
        yield block


def open_input(path: Path) -> BinaryIO:
    """Open a file of text for `decode_lines`, which also unpacks it; raise `DataError` if it cannot be read."""
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None


def count_lines(path: Path) -> int | None:
    """Count the lines of a regular file, plain or compressed; None if it can be read only once, such as a pipe."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with decompressed(open_input(path)) as file:
            count, last = 0, b"\n"
            while block := file.read(BLOCK_BYTES):
                count, last = count + block.count(b"\n"), block[-1:]
    except (OSError, DataError):
        # The error is reported when the lines are read to be translated.
        return None
    return count + (last != b"\n")


def standard_input() -> BinaryIO:
    """Return stdin; raise `DataError` if whoever started the program has closed it."""
    if sys.stdin is None or sys.stdin.closed:
        raise DataError("stdin is closed; name a FILE, or give text on stdin")
    return sys.stdin.buffer


class InputLines:
    """The lines of several inputs, one after the other, as text without line feeds; empty where one is too long."""

    def __init__(self, inputs: Sequence[tuple[str, BinaryIO]], *, refuse: bool = False) -> None:
        """`inputs` are streams with the names that messages use; `refuse` is as in `decode_lines`."""
        self.count = 0
        """Lines that were read so far."""
        self.where = ""
        """File and line of the last one, for messages."""
        self._inputs, self._refuse = inputs, refuse
        self._arriving: ArrivingLines | None = None

    def __iter__(self) -> Iterator[str]:
        for name, stream in self._inputs:
            opened = open_arriving(stream, name)
            self._arriving = opened if isinstance(opened, ArrivingLines) else None
            lines = decode_lines(opened, name, refuse=self._refuse, blank_long=True)
            for number, line in enumerate(lines, start=1):
                self.count += 1
                self.where = f"{name}, line {number:,}"
                yield line
            self._arriving = None

    def waits(self) -> bool:
        """Return whether the next line has not been written yet, so that it is time to answer those that were."""
        return self._arriving is not None and self._arriving.waits()


def decode_lines(
    stream: BinaryIO | Iterable[Raw], name: str, *, refuse: bool = False, blank_long: bool = False
) -> Iterator[str]:
    """Yield the lines of `stream` as text without line feeds.

    An item of `stream` is bytes up to and including a line feed, which the last one may lack. A byte order mark at the
    beginning is dropped. Bytes that are not UTF-8 become U+FFFD, with one warning at the end that names their lines;
    with `refuse` they raise `DataError`, as other encodings, data that are no text and damaged compressed data always
    do. So does a line of more than
    `MAX_LINE_BYTES`, unless `blank_long` makes it empty, also with a warning. Messages call the stream `name`.
    """
    damaged: list[int] = []
    too_long: list[int] = []
    for number, data in enumerate(_intact(_plain(stream, name), name), start=1):
        if data is None:
            if not blank_long:
                raise DataError(
                    f"{name}, line {number:,}: the line is longer than {MAX_LINE_BYTES >> 20} MiB; expected text with "
                    "a sentence a line"
                )
            too_long.append(number)
            yield ""
            continue
        if number == 1:
            refuse_foreign(data[:SAMPLE_BYTES], name)
            data = data.removeprefix(UTF8_BOM)
        try:
            line = data.decode("utf-8")
        except UnicodeDecodeError as error:
            if refuse:
                raise DataError(
                    f"{name}, line {number:,}, byte {error.start + 1:,}: found the byte 0x{data[error.start]:02X}, "
                    "which is not valid UTF-8 there; fix the line, or set decoding.invalid_utf8=replace"
                ) from None
            damaged.append(number)
            line = data.decode("utf-8", errors="replace")
        yield line.removesuffix("\n")
    if damaged:
        warn(f"{name}: {describe_lines(damaged)} not valid UTF-8; the invalid bytes became U+FFFD")
    if too_long:
        warn(f"{name}: {describe_lines(too_long)} longer than {MAX_LINE_BYTES >> 20} MiB; left blank")


def describe_lines(numbers: list[int], shown: int = 10) -> str:
    """Name lines for a message: `line 3 is`, `lines 3, 8 are` or `lines 3, 8, ... (120 in all) are`."""
    if len(numbers) == 1:
        return f"line {numbers[0]} is"
    names = ", ".join(map(str, numbers[:shown]))
    more = f", ... ({len(numbers):,} in all)" if len(numbers) > shown else ""
    return f"lines {names}{more} are"


def _plain(stream: BinaryIO | Iterable[Raw], name: str) -> BinaryIO | Iterable[Raw]:
    """Return a stream unpacked; raise `DataError` if it begins with what is not text in UTF-8."""
    if not hasattr(stream, "peek"):
        return stream
    try:
        plain = decompressed(cast(BinaryIO, stream))
        # More than the first line, which may be too short to tell what it is.
        sample = cast(io.BufferedReader, plain).peek(SAMPLE_BYTES)[:SAMPLE_BYTES]
    except DamagedStream as error:
        raise DataError(f"{name}, line 1: {error}") from None
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror or error}") from None
    refuse_foreign(sample, name)
    return plain


def _intact(stream: BinaryIO | Iterable[Raw], name: str) -> Iterator[Raw]:
    """Yield lines; what is wrong with the stream becomes a `DataError` with the number of the line."""
    number = 0
    lines = bounded_lines(cast(BinaryIO, stream)) if hasattr(stream, "readline") else stream
    try:
        for number, data in enumerate(lines, start=1):  # noqa: B007
            yield data
    except DamagedStream as error:
        raise DataError(f"{name}, line {number + 1:,}: {error}") from None
    except DataError as error:
        raise DataError(f"{name}, after line {number:,}: {error}") from None
    except OSError as error:
        raise DataError(f"{name}, line {number + 1:,}: cannot be read ({error.strerror or error})") from None
