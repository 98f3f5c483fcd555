"""Pictures of where heads look, for papers: one head, all heads of a layer, or a small map of every head.

Sizes are in inches, so that a cell has the same size in every picture; the space for labels is added around the maps.
"""

import math
import textwrap
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from translator.config import KINDS, Head
from translator.inspection.labels import COLUMN_TITLES, KIND_TITLES, ROW_TITLES, readable
from translator.inspection.maps import AttentionMaps
from translator.inspection.parts import heads_of, parse_part
from translator.runtime.figures import FONT_SIZE, GREY, check_picture, font_families, write_picture

_HIDDEN = "#DDDDDD"
"""Colour of masked cells; viridis contains no grey."""
_EDGE = "#808080"
_STYLE = {
    "axes.grid": False, "axes.spines.top": True, "axes.spines.right": True, "axes.edgecolor": _EDGE,
    "axes.linewidth": 0.5, "xtick.major.width": 0.5, "ytick.major.width": 0.5, "xtick.color": _EDGE,
    "ytick.color": _EDGE, "xtick.labelcolor": "black", "ytick.labelcolor": "black", "axes.labelcolor": "black",
    # A dollar sign in a sentence does not begin a formula.
    "text.parse_math": False,
    "savefig.bbox": "tight", "savefig.pad_inches": 0.08,
}  # fmt: skip
_BAR, _BAR_HEIGHT, _TITLE = 0.12, 2.2, 0.22


def draw_attention(maps: AttentionMaps, output: Path, part: str | None = None) -> Path:
    """Draw heads into `output`, a PNG, SVG or PDF file depending on its name, and return it.

    `part` names the heads: `cross.2.1` is one head with all labels, `cross.2` all heads of a layer, `cross` or None
    small maps of all heads of a kind or of the model. Raises `ConfigError` if the model lacks the heads, `DataError` if
    the name ends differently, and `TranslatorError` if matplotlib is missing or the file cannot be written.
    """
    check_picture(output)
    counts = {kind: [len(layer) for layer in maps.weights[kind]] for kind in KINDS}
    heads = heads_of(parse_part(part or "all"), counts, maps.run)
    draw = _draw_layer if len({head[:2] for head in heads}) == 1 else _draw_grid
    return write_picture(output, lambda: draw(maps, heads), {**_STYLE, "font.family": font_families()})


class _Sheet:
    """A figure on which maps are placed in inches from the upper left corner, all with one colour scale."""

    def __init__(self, maps: AttentionMaps, heads: Sequence[Head], width: float, height: float) -> None:
        from matplotlib import colormaps
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize
        from matplotlib.figure import Figure

        self.maps, self.heads, self.width, self.height = maps, heads, width, height
        self.figure: Any = Figure(figsize=(width, height))
        largest = max(_largest(maps, head) for head in heads)
        colours = colormaps["viridis"].with_extremes(bad=_HIDDEN)
        # A scale that ends at a multiple of 0.1 has a tick label at its end.
        self.colours = ScalarMappable(Normalize(0.0, min(math.ceil(largest * 10) / 10, 1.0) or 1.0), colours)

    def axes(self, left: float, top: float, width: float, height: float) -> Any:
        """Add axes of the given size with their upper left corner at `left`, `top`."""
        position = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(position)

    def map(self, head: Head, left: float, top: float, cell: tuple[float, float]) -> Any:
        """Draw a head with cells of a width and height, without labels."""
        weights = self.maps.of(head)
        rows, columns = weights.shape
        axes = self.axes(left, top, columns * cell[0], rows * cell[1])
        hidden = np.triu(np.ones(weights.shape, dtype=bool), 1) if head.kind == "decoder" else False
        axes.imshow(
            np.ma.masked_array(weights, hidden),
            cmap=self.colours.cmap, norm=self.colours.norm, aspect="auto", interpolation="nearest",
        )  # fmt: skip
        axes.set(xticks=[], yticks=[])
        return axes

    def bar(self, left: float, top: float, height: float) -> None:
        """Draw the colour bar."""
        axes = self.axes(left, top, _BAR, min(height, _BAR_HEIGHT))
        clipped = any(self.maps.of(head).max() > self.colours.norm.vmax for head in self.heads)
        bar = self.figure.colorbar(self.colours, cax=axes, extend="max" if clipped else "neither")
        bar.set_label("attention weight")
        bar.outline.set_linewidth(0.5)

    def text(self, left: float, top: float, text: str, **style: Any) -> None:
        """Write text with its upper left corner at `left`, `top`."""
        self.figure.text(left / self.width, 1 - top / self.height, text, va="top", ha="left", **style)


def _largest(maps: AttentionMaps, head: Head) -> float:
    """Return the largest weight, ignoring the first row of the decoder, which can only look at itself."""
    weights = maps.of(head)
    return float((weights[1:] if head.kind == "decoder" and len(weights) > 1 else weights).max())


def _draw_layer(maps: AttentionMaps, heads: Sequence[Head]) -> Any:
    """Draw heads of one layer with labels: left of the first column, and below the last map of each column."""
    kind, layer = heads[0].kind, heads[0].layer
    rows, columns = maps.of(heads[0]).shape
    longest = max(rows, columns)
    alone = len(heads) == 1
    # With few pieces, cells are large enough for the titles; with many, still large enough for a label.
    cell = max(min(max(7.0 / longest, 0.12), 0.3) if alone else min(max(4.0 / longest, 0.08), 0.2), 1.5 / longest)
    across = 1 if alone else min(len(heads), 4)
    down = -(-len(heads) // across)
    begin = _TITLE if alone else 2 * _TITLE
    step_x, step_y = columns * cell + 0.2, rows * cell + _TITLE + 0.06
    sheet = _Sheet(maps, heads, across * step_x + 0.8, down * step_y + begin)
    title = f"{KIND_TITLES[kind]}, layer {layer}" + (f", head {heads[0].head}" if alone else "")
    sheet.text(0.0, 0.0, f"{readable(maps.run)}: {title}", weight="bold", size=FONT_SIZE + 1)
    font = min(FONT_SIZE, 0.78 * cell * 72)
    row_labels, column_labels = ([readable(piece) for piece in side] for side in maps.labels(kind))
    for index, head in enumerate(heads):
        left, top = index % across * step_x, index // across * step_y + begin
        axes = sheet.map(head, left, top, (cell, cell))
        if not alone:
            axes.set_title(f"head {head.head}", size=FONT_SIZE, weight="normal", loc="center", pad=3)
        axes.tick_params(length=2, pad=2, labelsize=font)
        if index % across == 0:
            axes.set_yticks(range(rows), row_labels)
            axes.set_ylabel(ROW_TITLES[kind])
        if index + across >= len(heads):
            axes.set_xticks(range(columns), column_labels, rotation=90)
            axes.set_xlabel(COLUMN_TITLES[kind])
    sheet.bar(across * step_x, begin, rows * cell)
    return sheet.figure


def _draw_grid(maps: AttentionMaps, heads: Sequence[Head]) -> Any:
    """Draw small maps, layers by heads: the kinds side by side, or one below the other if layers have many heads."""
    kinds = {kind: list(own) for kind, own in groupby(heads, lambda head: head.kind)}
    longest = max(len(maps.source), len(maps.target))
    cell = min(max(0.025 * longest, 1.0), 2.0) / longest
    sizes, wide, corners = {}, {}, {}
    for kind, own in kinds.items():
        rows, columns = maps.of(own[0]).shape
        # A map is at least as wide as its name.
        sizes[kind] = (max(columns * cell, 0.5) + 0.1, max(rows * cell, 0.3) + 0.22)
        # The maps of a kind are at least as wide as its title.
        wide[kind] = max(max(head.head for head in own) * sizes[kind][0], 0.08 * len(KIND_TITLES[kind]))
    side_by_side = sum(max(head.head for head in own) for own in kinds.values()) <= 14
    left, top, right, bottom = 0.0, 0.0, 0.0, 0.0
    for kind, own in kinds.items():
        corners[kind] = left, top
        right = max(right, left + wide[kind])
        bottom = max(bottom, top + max(head.layer for head in own) * sizes[kind][1] + _TITLE)
        left, top = (right + 0.3, 0.0) if side_by_side else (0.0, bottom + 0.2)
    caption = _caption(maps, right)
    begin = 0.14 * len(caption) + 0.3
    sheet = _Sheet(maps, heads, right + 0.8, bottom + begin)
    sheet.text(0.0, 0.0, f"{readable(maps.run)}: where every head looks", weight="bold", size=FONT_SIZE + 2)
    for index, line in enumerate(caption):
        sheet.text(0.0, 0.2 + 0.14 * index, line, color=GREY, size=FONT_SIZE - 1)
    for kind, own in kinds.items():
        left, top = corners[kind]
        width, height = sizes[kind]
        rows, columns = maps.of(own[0]).shape
        sheet.text(left, begin + top, KIND_TITLES[kind], weight="bold", size=FONT_SIZE)
        for head in own:
            x, y = left + (head.head - 1) * width, begin + top + _TITLE + 0.12 + (head.layer - 1) * height
            axes = sheet.map(head, x, y, ((width - 0.1) / columns, (height - 0.22) / rows))
            axes.set_title(str(head), size=6.5, weight="normal", pad=2)
    sheet.bar(right + 0.15, begin + _TITLE + 0.12, bottom - _TITLE - 0.22)
    return sheet.figure


def _caption(maps: AttentionMaps, width: float) -> list[str]:
    """Return the two texts, wrapped to the width of the picture, with at most two lines each."""
    lines: list[str] = []
    for text in (maps.source_text, maps.target_text):
        characters = max(30, int(width * 15))
        lines += textwrap.wrap(readable(text), characters, max_lines=2, placeholder=" ...")
    return lines
