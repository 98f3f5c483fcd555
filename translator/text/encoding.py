"""What bytes are that should be text in UTF-8: text in another encoding, or no text at all."""

import re
import unicodedata
from itertools import pairwise

from translator.errors import DataError

UTF8_BOM = b"\xef\xbb\xbf"
SAMPLE_BYTES = 4096
"""As many bytes tell what a file is."""
# UTF-32 first: its little-endian byte order mark begins with that of UTF-16.
_FOREIGN_BOMS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
# Each begins with bytes that are unlikely in text.
_BINARY = {
    b"PK\x03\x04": "a zip archive (or an office document)",
    b"PK\x05\x06": "an empty zip archive",
    b"%PDF-": "a PDF document",
    b"\x89PNG\r\n": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"\x7fELF": "a program",
    b"PAR1": "a Parquet file",
    b"ARROW1\0\0": "an Arrow file",
    b"SQLite format 3\0": "an SQLite database",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\xd0\xcf\x11\xe0\xa1\xb1": "an office document",
    b"\x04\x22\x4d\x18": "LZ4 data",
    b"\x1f\x8b": "gzip data",
}
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def foreign_encoding(data: bytes) -> str | None:
    """Name the encoding whose byte order mark `data` begins with, if it is not UTF-8."""
    return next((name for bom, name in _FOREIGN_BOMS.items() if data.startswith(bom)), None)


def refuse_foreign(sample: bytes, name: str) -> None:
    """Raise `DataError` if bytes from the beginning of a stream are text in another encoding than UTF-8, or no text.

    Bytes that may be UTF-8 with some damage are not judged here.
    """
    encoding = foreign_encoding(sample) or wide_encoding(sample)
    if encoding is not None:
        raise DataError(f"{name} is {encoding}; expected UTF-8. Convert it: `iconv -f {encoding} -t UTF-8`")
    if kind := binary_kind(sample):
        raise DataError(f"{name} is {kind}, not text; expected lines of text in UTF-8")


def binary_kind(sample: bytes) -> str | None:
    """Say what bytes from the beginning of a stream are if they are no text in any encoding."""
    known = next((kind for magic, kind in _BINARY.items() if sample.startswith(magic)), None)
    if known is not None:
        return known
    # The text of one line may hold a NUL byte or two; of bytes drawn at random, one in nine is a control character.
    controls = len(_CONTROLS.findall(sample))
    if len(sample) >= 64 and controls > len(sample) * (0.5 if _is_utf8(sample) else 0.05):
        return "binary data"
    return None


def wide_encoding(sample: bytes) -> str | None:
    """Name UTF-16 or UTF-32 without a byte order mark, with its byte order; None if the sample looks like neither."""
    for name, width in (("UTF-32", 4), ("UTF-16", 2)):
        units = len(sample) // width
        nuls = [sample[offset : units * width : width].count(0) for offset in range(width)]
        for order, text_offset in (("LE", 0), ("BE", width - 1)):
            # ASCII characters are padded with NUL bytes at fixed offsets.
            others = [count for offset, count in enumerate(nuls) if offset != text_offset]
            if units >= 4 and nuls[text_offset] == 0 and min(others) > 0.5 * units:
                return f"{name}{order}"
    return next((f"UTF-16{order}" for order in ("LE", "BE") if _is_wide_text(sample, f"utf-16-{order.lower()}")), None)


def _is_wide_text(sample: bytes, encoding: str) -> bool:
    """Whether bytes that are not UTF-8 become text of a script without ASCII letters, such as Chinese or Russian.

    Read in the wrong byte order, or from other data, neighbouring characters are of unrelated scripts.
    """
    sample = sample[: len(sample) // 2 * 2]
    if len(sample) < 16 or (b"\0" not in sample and _is_utf8(sample)):
        return False
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 4:  # The end of the sample may be in the middle of a character.
            return False
        text = sample[: error.start].decode(encoding)
    if any(unicodedata.category(character) in ("Cc", "Cn", "Co") and character not in "\t\r\n" for character in text):
        return False
    scripts = [_script(character) for character in text if character.isalpha()]
    same = sum(first == second for first, second in pairwise(scripts))
    separated = any(character in " \n\t\u3000\u3001\u3002\uff0c" for character in text)
    return separated and len(scripts) >= 4 and same > 0.7 * (len(scripts) - 1)


def _script(character: str) -> str:
    name = unicodedata.name(character, "").split(" ")[0]
    # Japanese mixes three scripts in a word.
    return "CJK" if name in ("HIRAGANA", "KATAKANA", "CJK", "KATAKANA-HIRAGANA") else name


def _is_utf8(sample: bytes) -> bool:
    return "\ufffd" not in sample[:-4].decode("utf-8", errors="replace")
