"""Text that was decoded with the wrong encoding, or lost characters on its way: `KÃ¶ln`, `donâ€™t`, `K\ufffdln`.

UTF-8 read as Windows-1252 leaves a trace that hardly any text has by chance: a letter that is a lead byte, and after it
characters that are continuation bytes. Where such a sequence could be text (`MANHÃ”` in capitals before a quotation
mark, `voilà »`), it counts only with a letter or more of its kind after it.
"""

import re

_CONTROLS = "".join(map(chr, range(0x80, 0xA0)))
_WINDOWS = "".join(bytes([byte]).decode("cp1252", "ignore") for byte in range(0x80, 0xA0))
_UPPER_HALF = "".join(map(chr, range(0xA0, 0xC0)))
_TAIL = re.escape(_CONTROLS + _WINDOWS + _UPPER_HALF)
"""What continuation bytes (80 to BF) become in Windows-1252 or Latin-1."""
_SURE_TAIL = re.escape("".join(set(_CONTROLS + _WINDOWS + _UPPER_HALF) - set("\xa0«»·¿…–—‘’“”•")))
"""Those that follow no capital `Â` or `Ã` in text."""
_TRACES = re.compile(
    "\ufffd|ï¿½|ï»¿|â€"
    f"|[ÂÃ][{_SURE_TAIL}]|Ã[{_TAIL}](?=[a-zß-ÿ])"
    f"|(?:[\xc2-\xdf][{_TAIL}]|[\xe0-\xef][{_TAIL}]{{2}}){{3,}}"
)


def is_mojibake(text: str) -> bool:
    """Whether a text has characters that a wrong encoding left, or U+FFFD for characters that were lost."""
    return not text.isascii() and _TRACES.search(text) is not None
