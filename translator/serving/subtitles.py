"""Subtitles (SubRip, .srt): cues, each with a number, a line of times and lines of text, which become one."""

import re
from collections.abc import Callable, Sequence

_LINE_END = re.compile(r"(\r\n|\n|\r)")
_TIMES = re.compile(r"\s*\d+:\d\d:\d\d[,.]\d+\s*-->")
_NUMBER = re.compile(r"\s*\d+\s*")


def open_subtitles(text: str) -> tuple[list[str], Callable[[Sequence[str]], bytes]]:
    """Return the texts of the cues, as the markup `subtitle`, and what makes the file of their translations.

    Everything else stays as it is, line ends of any kind too. What has no letter is not translated.
    """
    lines, ends = _LINE_END.split(text)[::2], [*_LINE_END.findall(text), ""]
    found = [own for own in _find_texts(lines) if any(letter.isalpha() for at in own for letter in lines[at])]

    def rebuild(translated: Sequence[str]) -> bytes:
        written, position = [], 0
        for own, translation in zip(found, translated, strict=True):
            written += [line + end for line, end in zip(lines[position : own[0]], ends[position : own[0]], strict=True)]
            written.append(translation + ends[own[-1]])
            position = own[-1] + 1
        written += [line + end for line, end in zip(lines[position:], ends[position:], strict=True)]
        return "".join(written).encode("utf-8")

    return [" ".join(lines[at].strip() for at in own) for own in found], rebuild


def _find_texts(lines: Sequence[str]) -> list[range]:
    """Return the indices of the lines of each text: what is after a line of times, up to a blank line or the next cue.

    A cue begins with its times, or with the number in the line before, even if no blank line is before it; text after
    a blank line, which players show as well, belongs to the cue before it.
    """
    found: list[range] = []
    begin, in_cue = None, False
    for index, line in enumerate([*lines, ""]):
        is_number = _NUMBER.fullmatch(line) and index + 1 < len(lines) and _TIMES.match(lines[index + 1])
        is_head = bool(is_number or _TIMES.match(line))
        in_cue = in_cue or is_head
        if is_head or not line.strip():
            if begin is not None:
                found.append(range(begin, index))
            begin = None
        elif in_cue and begin is None:
            begin = index
    return found
