"""Reading lines of text strictly: UTF-8, plain or gzip-compressed; only a line feed ends a line.

For corpora, in which damage must be found before any work. What a user pipes through a command is read leniently, by
`input_lines`.
"""

import gzip
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from translator.errors import DataError

BLOCK_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 24

GZIP_MAGIC = b"\x1f\x8b"
UTF8_BOM = b"\xef\xbb\xbf"
# UTF-32 first: its little-endian byte order mark begins with that of UTF-16.
_FOREIGN_BOMS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def read_lines(path: str | Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file, plain or gzip-compressed (recognised by content), without their line feeds.

    Only `\\n` ends a line: `\\r`, U+0085, U+2028 and the like stay in the text. The last line needs no `\\n`;
    a byte order mark at the start is dropped. Host memory is bounded by a block and the longest line. Raises
    `DataError` with file and line for a missing or damaged file and for any other encoding.
    """
    file = Path(path)
    line_number = 1  # of the first line that is still incomplete
    pending: list[bytes] = []
    pending_bytes = 0
    for block in _blocks(file):
        end = block.rfind(b"\n")
        if end < 0:
            pending.append(block)
            pending_bytes += len(block)
            if pending_bytes > MAX_LINE_BYTES:
                raise DataError(
                    f"{file}, line {line_number:,}: the line is longer than {MAX_LINE_BYTES >> 20} MiB; expected "
                    "text with one sentence a line"
                )
            continue
        lines = _decode(b"".join([*pending, block[:end]]), file, line_number).split("\n")
        yield from lines
        line_number += len(lines)
        pending = [block[end + 1 :]] if end + 1 < len(block) else []
        pending_bytes = len(block) - end - 1
    if pending:
        yield _decode(b"".join(pending), file, line_number)


def _decode(data: bytes, file: Path, first_line: int) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = first_line + data.count(b"\n", 0, error.start)
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise DataError(
            f"{file}, line {line:,}, byte {column:,}: found the byte 0x{data[error.start]:02X}, which is not "
            "valid UTF-8 there; expected UTF-8. Convert the file (`iconv -f LATIN1 -t UTF-8`, with its true "
            "encoding) or fix the line"
        ) from None


def _blocks(file: Path) -> Iterator[bytes]:
    """Yield the decompressed bytes in blocks, without a byte order mark."""
    lines_before = 0
    first = True
    try:
        with file.open("rb") as raw, _decompressed(raw, file) as stream:
            while block := stream.read(BLOCK_BYTES):
                if first:
                    _refuse_foreign_encoding(block, file)
                    block = block.removeprefix(UTF8_BOM)
                    first = False
                lines_before += block.count(b"\n")
                yield block
    except EOFError:
        raise DataError(
            f"{file}, line {lines_before + 1:,}: the gzip data end in the middle; the file is truncated. "
            "Copy or download it again"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{file}, line {lines_before + 1:,}: the gzip data are damaged ({error}). Copy or download it again"
        ) from None
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from None


def _decompressed(raw: BufferedReader, file: Path) -> BinaryIO:
    magic = raw.peek(2)[:2]  # a pipe cannot seek back
    if magic == GZIP_MAGIC:
        return gzip.GzipFile(fileobj=raw, mode="rb")  # type: ignore[return-value]
    if not magic and file.suffix == ".gz":
        raise EOFError
    return raw


def _refuse_foreign_encoding(block: bytes, file: Path) -> None:
    name = foreign_encoding(block) or _guess_wide_encoding(block[:4096])
    if name is not None:
        raise DataError(f"{file}, line 1: the file is {name}, expected UTF-8. Convert it: `iconv -f {name} -t UTF-8`")


def foreign_encoding(data: bytes) -> str | None:
    """Name the encoding whose byte order mark `data` begins with, if it is not UTF-8."""
    return next((name for bom, name in _FOREIGN_BOMS.items() if data.startswith(bom)), None)


def _guess_wide_encoding(sample: bytes) -> str | None:
    """Name the encoding if the sample looks like ASCII characters padded with NUL bytes at fixed offsets."""
    for name, width in (("UTF-32", 4), ("UTF-16", 2)):
        units = len(sample) // width
        nuls = [sample[offset : units * width : width].count(0) for offset in range(width)]
        for text_offset in (0, width - 1):
            others = [count for offset, count in enumerate(nuls) if offset != text_offset]
            if units >= 4 and nuls[text_offset] == 0 and min(others) > 0.5 * units:
                return name
    return None
