"""Lines of bytes as they come from files, pipes and terminals, in bounded host memory, for `input_lines`."""

import io
import os
import select
import stat
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from translator.errors import DataError
from translator.text.compression import compression_of, may_be_compressed
from translator.text.corpus_lines import BLOCK_BYTES
from translator.text.encoding import SAMPLE_BYTES, refuse_foreign

MAX_LINE_BYTES = 1 << 20
"""The longest line that is taken as text; no sentence comes near, and to translate a megabyte takes minutes."""
MAX_SKIPPED_BYTES = 1 << 30
"""The longest line that is read to its end where such lines are left blank; one that goes on longer is refused."""

Raw = bytes | None
"""A line with its line feed, which the last may lack; None for one that is longer than `MAX_LINE_BYTES`."""

# Lines written in quick succession are grouped; a person who waits for a translation does not notice the delay.
_LINGER_SECONDS = 0.05


def bounded_lines(stream: BinaryIO) -> Iterator[Raw]:
    """Yield the lines of a stream, and None for each that is too long, whose rest is then skipped.

    Raises `DataError` for a line without an end.
    """
    while line := stream.readline(MAX_LINE_BYTES + 1):
        if len(line) <= MAX_LINE_BYTES or line.endswith(b"\n"):
            yield line
            continue
        yield None
        skipped = len(line)
        while line and not line.endswith(b"\n"):
            line = stream.readline(BLOCK_BYTES)
            skipped += len(line)
            _check_skipped(skipped)


class ArrivingLines:
    """The lines of a pipe or terminal as `bounded_lines` gives them, and whether the next one has arrived."""

    def __init__(self, descriptor: int, read_before: bytes | None = None) -> None:
        """`read_before` is what was already read of the descriptor."""
        self._descriptor = descriptor
        self._lines: list[Raw] = []  # complete lines in reverse order
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._ended = False
        if read_before is not None:
            self._add(read_before)

    def __iter__(self) -> Iterator[Raw]:
        while self._lines or self._read():
            yield self._lines.pop()

    def waits(self) -> bool:
        """Return whether no further line has arrived within a twentieth of a second."""
        while not self._lines and not self._ended:
            if not select.select([self._descriptor], [], [], _LINGER_SECONDS)[0]:
                return True
            self._read_once()
        return False

    def _read(self) -> bool:
        while not self._lines and not self._ended:
            self._read_once()
        return bool(self._lines)

    def _read_once(self) -> None:
        self._add(os.read(self._descriptor, BLOCK_BYTES))

    def _add(self, data: bytes) -> None:
        self._ended = not data
        *lines, rest = data.split(b"\n")
        found: list[Raw] = []
        for line in lines:
            self._keep(line)
            found.append(self._completed(b"\n"))
        self._keep(rest)
        # The last line may lack its line feed.
        if self._ended and self._rest_bytes:
            found.append(self._completed(b""))
        self._lines = found[::-1]

    def _completed(self, end: bytes) -> Raw:
        """Return the line that `end` completes."""
        line = b"".join([*self._rest, end]) if self._rest_bytes <= MAX_LINE_BYTES else None
        self._rest, self._rest_bytes = [], 0
        return line

    def _keep(self, part: bytes) -> None:
        """Keep a part of a line, unless it is longer already than what is taken."""
        self._rest_bytes += len(part)
        if self._rest_bytes <= MAX_LINE_BYTES:
            self._rest.append(part)
        else:
            self._rest.clear()
            _check_skipped(self._rest_bytes)


def _check_skipped(size: int) -> None:
    if size > MAX_SKIPPED_BYTES:
        raise DataError(f"a line has no end within {MAX_SKIPPED_BYTES >> 30} GiB; expected text with a sentence a line")


def open_arriving(stream: BinaryIO, name: str) -> BinaryIO | ArrivingLines:
    """Return the lines of stdin as they arrive if it is a pipe or terminal with plain text; otherwise a stream."""
    if os.name != "posix" or sys.stdin is None or stream is not sys.stdin.buffer:
        # A file opened by name was peeked into, so its descriptor is already past bytes that have not been read.
        return stream
    try:
        descriptor = stream.fileno()
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return stream
    except OSError:
        return stream
    beginning = os.read(descriptor, BLOCK_BYTES)
    while may_be_compressed(beginning) and (more := os.read(descriptor, BLOCK_BYTES)):
        beginning += more
    if compression_of(beginning):
        return cast(BinaryIO, io.BufferedReader(_Resumed(beginning, descriptor)))
    refuse_foreign(beginning[:SAMPLE_BYTES], name)
    return ArrivingLines(descriptor, beginning)


class _Resumed(io.RawIOBase):
    """The bytes of a descriptor whose beginning has been read already."""

    def __init__(self, beginning: bytes, descriptor: int) -> None:
        self._beginning, self._descriptor = beginning, descriptor

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        size = size if size >= 0 else BLOCK_BYTES
        data, self._beginning = self._beginning[:size], self._beginning[size:]
        return data or os.read(self._descriptor, size)

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
