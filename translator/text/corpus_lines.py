"""Reading lines of text strictly: UTF-8, plain or compressed; only a line feed ends a line.

For corpora, in which damage must be found before any work. What a user pipes through a command is read leniently, by
`input_lines`.
"""

from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

from translator.config.corpus_spec import COMPRESSIONS
from translator.errors import DataError
from translator.text.compression import DamagedStream, decompressed
from translator.text.encoding import SAMPLE_BYTES, UTF8_BOM, binary_kind, refuse_foreign

BLOCK_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 24


def read_lines(path: str | Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file, plain or compressed (recognised by content), without their line feeds.

    Only `\\n` ends a line: `\\r`, U+0085, U+2028 and the like stay in the text. The last line needs no `\\n`;
    a byte order mark at the start is dropped. Host memory is bounded by a block and the longest line. Raises
    `DataError` with file and line for a missing or damaged file and for any other encoding.
    """
    file = Path(path)
    return lines_of(lambda: cast(BinaryIO, file.open("rb")), str(file))


def lines_of(open_stream: Callable[[], BinaryIO], name: str) -> Iterator[str]:
    """Yield the lines of what `open_stream` opens, as `read_lines` does those of a file; messages call it `name`."""
    line_number = 1  # of the first line that is still incomplete
    pending: list[bytes] = []
    pending_bytes = 0
    for block in byte_blocks(open_stream, name):
        if line_number == 1 and not pending:
            refuse_foreign(block[:SAMPLE_BYTES], name)
            block = block.removeprefix(UTF8_BOM)
        end = block.rfind(b"\n")
        if end < 0:
            pending.append(block)
            pending_bytes += len(block)
            if pending_bytes > MAX_LINE_BYTES:
                raise DataError(
                    f"{name}, line {line_number:,}: the line is longer than {MAX_LINE_BYTES >> 20} MiB; expected "
                    "text with one sentence a line"
                )
            continue
        lines = _decode(b"".join([*pending, block[:end]]), name, line_number).split("\n")
        yield from lines
        line_number += len(lines)
        pending = [block[end + 1 :]] if end + 1 < len(block) else []
        pending_bytes = len(block) - end - 1
    if pending:
        yield _decode(b"".join(pending), name, line_number)


def _decode(data: bytes, name: str, first_line: int) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = first_line + data.count(b"\n", 0, error.start)
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        where = f"{name}, line {line:,}, byte {column:,}"
        if kind := binary_kind(data[error.start - error.start % 2 : error.start + SAMPLE_BYTES]):
            raise DataError(f"{where}: {kind} begin there; the file is damaged, copy or download it again") from None
        raise DataError(
            f"{where}: found the byte 0x{data[error.start]:02X}, which is not valid UTF-8 there; expected UTF-8. "
            "Convert the file (`iconv -f LATIN1 -t UTF-8`, with its true encoding) or fix the line"
        ) from None


def byte_blocks(open_stream: Callable[[], BinaryIO], name: str) -> Iterator[bytes]:
    """Yield the plain bytes of what `open_stream` opens, in blocks of at most `BLOCK_BYTES`.

    Raises `DataError`, with `name` and the number of the line, if they are damaged or cannot be read.
    """
    line_feeds, read_any = 0, False
    try:
        with open_stream() as raw, decompressed(raw) as stream:
            # One read at a time, so that all that precedes damage is had before it.
            while block := cast(BufferedReader, stream).read1(BLOCK_BYTES):
                read_any = True
                line_feeds += block.count(b"\n")
                yield block
            if stream is raw and not read_any and Path(name).suffix in COMPRESSIONS:
                kind = COMPRESSIONS[Path(name).suffix]
                raise DamagedStream(
                    f"the {kind} data end in the middle; the file is truncated. Copy or download it again"
                )
    except DataError as error:
        raise DataError(f"{name}, line {line_feeds + 1:,}: {error}") from None
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror or error}") from None
