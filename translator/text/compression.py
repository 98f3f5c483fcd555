"""Compressed bytes as a stream of plain ones: gzip, bzip2, xz and Zstandard, recognised by their first bytes.

Every reader of text passes its stream through `decompressed`, so corpora, input and stdin may all be compressed.
"""

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from translator.errors import DataError

MAX_EXPANSION = 1000
"""Text is rarely packed into a hundredth of its size; data that unpack to more than this are made to fill a machine."""
_SPARED_BYTES = 256 << 20
"""Data that unpack to fewer bytes are read whatever their expansion."""
_CHUNK_BYTES = 1 << 16
# Arrow loses the bytes of a read that fails, so reads are short, and damage is found within a few lines of where it is.
_ZSTD_READ_BYTES = 1 << 10


class DamagedStream(DataError):
    """Compressed data that are damaged or truncated; a reader adds the file and the line."""


class _Gzip:
    """`zlib`'s decompressor, with the rest of its input kept as those of `bz2` and `lzma` keep it."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    @property
    def needs_input(self) -> bool:
        """Whether `decompress` has used up what it was given."""
        return not self._zlib.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "gzip": _Gzip,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=1 << 30),
}
MAGIC = {"gzip": b"\x1f\x8b", "bzip2": b"BZh", "xz": b"\xfd7zXZ\x00", "Zstandard": b"\x28\xb5\x2f\xfd"}
"""What compressed data begin with."""


def compression_of(beginning: bytes) -> str | None:
    """Return the format of compressed data that begin so; None if they are not compressed."""
    found = next((name for name, magic in MAGIC.items() if beginning.startswith(magic)), None)
    # `BZh` could begin a line of text; the size of the blocks and the magic number of the first one follow it.
    if found == "bzip2" and not (beginning[3:4].isdigit() and beginning[4:10] in (b"1AY&SY", b"\x17rE8P\x90")):
        return None
    return found


def may_be_compressed(beginning: bytes) -> bool:
    """Whether bytes that have arrived may be the beginning of a longer mark of compressed data."""
    return len(beginning) < 10 and any(
        beginning.startswith(magic) or magic.startswith(beginning) for magic in MAGIC.values()
    )


def decompressed(stream: BinaryIO) -> BinaryIO:
    """Return the plain bytes of `stream`: itself if its data are not compressed, otherwise a stream with `read1`.

    `stream` must have `peek`, as files and stdin do. Reading the result raises `DamagedStream` at the first byte that
    cannot be had, after all bytes before it, and `DataError` for data that expand beyond reason.
    """
    if not hasattr(stream, "peek"):
        return stream
    kind = compression_of(stream.peek(10)[:10])
    if kind is None:
        return stream
    plain = _ZstdStream(stream) if kind == "Zstandard" else _PlainStream(stream, kind)
    return cast(BinaryIO, io.BufferedReader(plain, _CHUNK_BYTES))


class _ExpandingStream(io.RawIOBase):
    """Plain bytes out of a compressed stream, whose expansion is watched."""

    def __init__(self, stream: BinaryIO, kind: str) -> None:
        self._stream, self._kind = stream, kind
        self._taken = self._given = 0

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        self._given += len(data)
        if self._given > max(_SPARED_BYTES, MAX_EXPANSION * self._taken):
            raise DataError(
                f"the {self._kind} data unpack to more than {MAX_EXPANSION:,} times their size; they are no text"
            )
        return len(data)

    def _read(self, size: int) -> bytes:
        raise NotImplementedError

    def _take(self, size: int = _CHUNK_BYTES) -> bytes:
        """Read what is available of the compressed data, at most `size` bytes; none at their end."""
        data = self._stream.read1(size) if hasattr(self._stream, "read1") else self._stream.read(size)
        self._taken += len(data)
        return bytes(data)

    def _truncated(self) -> DamagedStream:
        return DamagedStream(
            f"the {self._kind} data end in the middle; the file is truncated. Copy or download it again"
        )

    def _damaged(self, error: Exception) -> DamagedStream:
        return DamagedStream(f"the {self._kind} data are damaged ({error}). Copy or download it again")


class _PlainStream(_ExpandingStream):
    """The members of a gzip, bzip2 or xz stream, one after the other; what follows them must be another, or padding."""

    def __init__(self, stream: BinaryIO, kind: str) -> None:
        super().__init__(stream, kind)
        self._new = _DECOMPRESSORS[kind]
        self._member = self._new()
        self._leftover = b""

    def _read(self, size: int) -> bytes:
        try:
            while True:
                if self._member.eof and not self._begin_next_member():
                    return b""
                wants_input, packed = self._member.needs_input, b""
                if wants_input:
                    packed, self._leftover = self._leftover or self._take(), b""
                if data := self._member.decompress(packed, size):
                    return bytes(data)
                if wants_input and not packed and not self._member.eof:
                    raise self._truncated()
        except (zlib.error, lzma.LZMAError, EOFError) as error:
            raise self._damaged(error) from None
        except OSError as error:
            if error.errno is None:  # `bz2` has no error of its own.
                raise self._damaged(error) from None
            raise

    def _begin_next_member(self) -> bool:
        """Skip the zeros that may follow a member; return whether there is another."""
        rest = self._member.unused_data.lstrip(b"\0")
        while not rest and (packed := self._take()):
            rest = packed.lstrip(b"\0")
        if rest:
            self._member, self._leftover = self._new(), rest
        return bool(rest)


class _ZstdStream(_ExpandingStream):
    """The frames of a Zstandard stream, which Arrow reads."""

    def __init__(self, stream: BinaryIO) -> None:
        import pyarrow

        super().__init__(stream, "Zstandard")
        self._errors = (pyarrow.ArrowException, OSError)
        self._frames = pyarrow.CompressedInputStream(pyarrow.PythonFile(_Taken(self._take), mode="r"), "zstd")

    def _read(self, size: int) -> bytes:
        try:
            return bytes(self._frames.read(min(size, _ZSTD_READ_BYTES)))
        except self._errors as error:
            if getattr(error, "errno", None) is not None:
                raise
            raise (self._truncated() if "Truncated" in str(error) else self._damaged(error)) from None


class _Taken(io.RawIOBase):
    """The least that Arrow wants of a Python file."""

    def __init__(self, take: Callable[[int], bytes]) -> None:
        self._take = take

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._take(size if size > 0 else _CHUNK_BYTES)
