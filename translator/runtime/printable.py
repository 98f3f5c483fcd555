"""Text that a terminal shows as it is: whatever a terminal would obey, or a reader would not see, is escaped.

Text, paths and names come from files that others made. An escape sequence in one of them could move the cursor,
change the title of the window or answer for the user (see `man console_codes`), and marks of direction can make a
line read as what it is not (CVE-2021-42574).
"""

import re

# C0 without tab and line feed (and the carriage return before one), DEL, C1; line and paragraph separators, embeddings,
# overrides and isolates of direction; half surrogate pairs; the byte order mark and invisible "tag" characters.
_OBEYED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\U000e0000-\U000e007f]|\r(?!\n)"
)


def printable(text: object) -> str:
    r"""Return `text` with control characters, marks of direction and half surrogate pairs as `\x1b` or `\u202e`.

    Tabs and ends of lines stay. What a shell or file name made of bytes that are not UTF-8 is shown as those bytes.
    """
    return _OBEYED.sub(_escaped, str(text))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # A byte that was not UTF-8 (PEP 383).
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
