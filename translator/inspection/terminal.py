"""A compact map of one head for the terminal: labelled rows and columns, weights as shades and in percent.

Text is measured in terminal columns, so that wide (Chinese, Japanese, Korean) and combining characters do not shift the
map. Control characters in a sentence are escaped.
"""

import bisect
import shutil
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from translator.config import Head
from translator.inspection.labels import COLUMN_TITLES, KIND_TITLES, ROW_TITLES, readable
from translator.inspection.maps import AttentionMaps

_BLOCKS, _ASCII = " ░▒▓█", " .:*#"
_LEAST = (0.05, 0.2, 0.4, 0.7)
"""The smallest weight of each shade after the first."""
_NUMBER, _BLOCK = 3, 2
"""Width in columns of a cell with a shade and a number, and of a cell with a shade only."""
_LABEL = 14
"""Maximum width of a row label, and maximum height of a column label."""
_MOST = 16
"""Width of the largest weight and its piece at the end of a row."""
_NARROWEST = 20


def terminal_map(
    maps: AttentionMaps, head: Head, width: int | None = None, colour: bool = False, encoding: str = "utf-8"
) -> str:
    """Return the map of one head as lines that fit `width` columns: the terminal's by default, 20 at least.

    A cell shows its weight in percent and as a shade: grey with `colour` (ANSI, 256 colours), else a block character,
    or an ASCII character if `encoding` has no blocks. If numbers do not fit, cells show shades only and every row ends
    with its largest weight and the piece that has it. If that does not fit either, the map is split into panels. Raises
    `ConfigError` if the model does not have the head.
    """
    width = max(width or shutil.get_terminal_size().columns, _NARROWEST)
    weights = maps.of(head)
    rows, columns = ([_Label.of(piece, encoding) for piece in side] for side in maps.labels(head.kind))
    gutter = min(max(label.width for label in rows), _LABEL, width // 3) + 1
    numbers = gutter + len(columns) * _NUMBER <= width
    ends = [] if numbers else _largest(weights, columns)
    cell = _NUMBER if numbers else _BLOCK
    room = width - gutter - (_MOST if ends else 0)
    # A terminal this narrow has no room for the ends of the rows.
    if room < 2 * cell:
        ends, room = [], width - gutter
    shades = _BLOCKS if _can_encode(_BLOCKS, encoding) else _ASCII
    cells = _Cells(weights, head.kind == "decoder", colour, shades, numbers)
    lines = [_Label.of(f"{head} of {maps.run}: {KIND_TITLES[head.kind]}", encoding).cut(width)]
    lines += textwrap.wrap(f"rows: {ROW_TITLES[head.kind]}; columns: {COLUMN_TITLES[head.kind]}", width)
    lines += cells.legend(width)
    for begin in range(0, len(columns), room // cell):
        panel = range(begin, min(begin + room // cell, len(columns)))
        lines += ["", *(" " * gutter + line for line in _above([columns[index] for index in panel], cell))]
        for row, label in enumerate(rows):
            lines.append(f"{label.cut(gutter - 1, right=True)} {cells.row(row, panel)}{ends[row] if ends else ''}")
    return "\n".join(_encodable(line.rstrip(" "), encoding) for line in lines)


@dataclass(frozen=True)
class _Label:
    """A text as displayed characters: each with the marks that combine with it, and with its width in columns."""

    characters: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, text: str, encoding: str) -> "_Label":
        return cls(tuple(_characters(_encodable(readable(text), encoding))))

    @property
    def width(self) -> int:
        return sum(width for _, width in self.characters)

    def cut(self, width: int, right: bool = False) -> str:
        """Return the label in exactly `width` columns, aligned left or right; `~` marks where it is cut."""
        text, used = "", 0
        room = width if self.width <= width else width - 1
        for character, own in self.characters:
            if used + own > room:
                break
            text, used = text + character, used + own
        if self.width > width:
            text, used = text + "~", used + 1
        spaces = " " * (width - used)
        return spaces + text if right else text + spaces


@dataclass(frozen=True)
class _Cells:
    """Draws the cells of a map."""

    weights: NDArray[np.float32]
    causal: bool
    colour: bool
    shades: str
    numbers: bool

    def row(self, row: int, columns: Sequence[int]) -> str:
        """Return the cells of a row in these `columns`."""
        return "".join(self._cell(row, column) for column in columns)

    def _cell(self, row: int, column: int) -> str:
        size = _NUMBER if self.numbers else _BLOCK
        if self.causal and column > row:
            return "-".rjust(size)
        weight = float(self.weights[row, column])
        percent = round(100 * weight)
        number = str(percent) if percent and self.numbers else ""
        if self.colour:
            return _on_grey(weight, number.rjust(size))
        shade = self.shades[bisect.bisect(_LEAST, weight)]
        # Only 100, which is certainly the largest, leaves no room for its shade.
        return number.rjust(size - 1).rjust(size, shade) if self.numbers else shade * size

    def legend(self, width: int) -> list[str]:
        """Return lines that explain the cells."""
        notes = ["numbers: percent"] if self.numbers else []
        notes += ["-: masked"] if self.causal else []
        if self.colour:
            scale = "".join(_on_grey(weight, f" {weight:.1f} ") for weight in (0.0, 0.3, 0.6, 1.0))
            return [scale, *textwrap.wrap("; ".join(notes), width)]
        shades = ", ".join(f"{shade * 2} {least}" for shade, least in zip(self.shades[1:], _LEAST, strict=True))
        return textwrap.wrap("; ".join([f"from {shades}", *notes]), width)


def _largest(weights: NDArray[np.float32], columns: Sequence[_Label]) -> list[str]:
    """Return the end of every row: its largest weight and the piece that has it, in `_MOST` columns."""
    return [f"  {row.max():.2f} {columns[row.argmax()].cut(_MOST - 7)}" for row in weights]


def _above(labels: Sequence[_Label], cell: int) -> Iterator[str]:
    """Yield the lines of labels written from top to bottom, above cells."""
    cut = [
        label.characters if len(label.characters) <= _LABEL else (*label.characters[: _LABEL - 1], ("~", 1))
        for label in labels
    ]
    height = max(map(len, cut))
    for line in range(height):
        text = ""
        for characters in cut:
            index = line - height + len(characters)
            character, width = characters[index] if index >= 0 else ("", 0)
            spaces = " " * (cell - width)
            # Above the last digit of a number, or the first column of a block.
            text += spaces + character if cell == _NUMBER else character + spaces
        yield text


def _on_grey(weight: float, text: str) -> str:
    """Return text on one of the terminal's 24 greys; zero is black."""
    ink = 231 if weight < 0.5 else 16
    return f"\x1b[48;5;{232 + round(23 * min(weight, 1.0))};38;5;{ink}m{text}\x1b[0m"


def _characters(text: str) -> Iterator[tuple[str, int]]:
    """Split a text into displayed characters and their widths; a character without width joins the previous one."""
    character, width = "", 0
    for own in text:
        if own in "\u200c\u200d" or unicodedata.name(own, "").startswith("VARIATION SELECTOR"):
            continue  # Terminals disagree on the width of joined characters.
        columns = _columns(own)
        if columns and character:
            yield character, width
            character, width = "", 0
        elif not columns and not character:
            character, width = "\u25cc", 1  # A combining mark without a base is shown on a dotted circle.
        character, width = character + own, width + columns
    if character:
        yield character, width


def _columns(character: str) -> int:
    """Return the width of a character in terminal columns: 0, 1 or 2."""
    if unicodedata.category(character) in ("Mn", "Me") or "\u1160" <= character <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _encodable(text: str, encoding: str) -> str:
    """Replace characters that an encoding lacks: the beginning of a word by `_`, others by `?`."""
    if _can_encode(text, encoding):
        return text
    return "".join(each if _can_encode(each, encoding) else "_" if each == "\u2581" else "?" for each in text)
