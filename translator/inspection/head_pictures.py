"""A picture of all heads of a run: layers by heads, coloured by importance, and how similar heads are."""

from pathlib import Path
from typing import Any

import numpy as np

from translator.inspection.labels import KIND_TITLES, readable
from translator.inspection.report import ModelReport
from translator.runtime.counted import counted
from translator.runtime.figures import write_picture

_SHORT = {
    "previous position": "prev", "same position": "same", "next position": "next", "sentence end": "end",
    "sentence start": "start", "punctuation": "punct", "alignment": "align",
}  # fmt: skip


def write_report(report: ModelReport, path: Path) -> Path:
    """Write a report as JSON or as a picture, depending on the file name, and return the file."""
    if path.suffix.lower() == ".json":
        return report.write_json(path)
    return write_picture(path, lambda: _draw(report), {"axes.grid": False, "text.parse_math": False})


def _draw(report: ModelReport) -> Any:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    kinds = list(report.distances)
    counts = {kind: _grid(report, kind).shape for kind in kinds}
    widths = [max(2, columns) for _, columns in counts.values()]
    tallest = max(rows for rows, _ in counts.values())
    figure: Any = Figure(figsize=(2.5 + 0.62 * sum(widths), 1.9 + 0.5 * tallest + 3.0), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=(0.9 + 0.5 * tallest, 3.2))
    highest = max(max(each.importance for each in report.heads), 1e-6)
    colours = ScalarMappable(Normalize(0.0, highest), "cividis")
    axes = upper.subplots(1, len(kinds), width_ratios=widths)
    for index, (kind, axis) in enumerate(zip(kinds, axes, strict=True)):
        _draw_importance(axis, report, kind, colours)
        if index == 0:
            axis.set_ylabel("layer")
    upper.colorbar(colours, ax=axes, label="rise of the loss when masked\n(nats per token)", fraction=0.05)
    upper.suptitle(f"{readable(report.run)}: importance of each head, on {counted(report.sentences, 'sentence pair')}")
    below = lower.subplots(1, len(kinds), width_ratios=widths)
    for kind, axis in zip(kinds, below, strict=True):
        shown = axis.imshow(report.distances[kind], cmap="viridis", vmin=0.0, vmax=1.0)
        names = [f"{each.head.layer}.{each.head.head}" for each in report.of_kind(kind)]
        step = max(1, len(names) // 16)
        axis.set_xticks(range(0, len(names), step), names[::step], rotation=90)
        axis.set_yticks(range(0, len(names), step), names[::step])
        axis.set_title(KIND_TITLES[kind])
    lower.colorbar(shown, ax=below, label="how differently two heads look\n(Jensen-Shannon, bits)", fraction=0.05)
    return figure


def _draw_importance(axis: Any, report: ModelReport, kind: str, colours: Any) -> None:
    grid = _grid(report, kind)
    axis.imshow(np.ma.masked_invalid(grid), cmap=colours.cmap, norm=colours.norm, aspect="auto")
    for each in report.of_kind(kind):
        roles = each.roles()
        text = f"{round(each.importance, 3) + 0.0:+.3f}" + (f"\n{_SHORT[roles[0][0]]}" if roles else "")
        # Dark cells need light text; cividis gets lighter as the value grows.
        light = colours.norm(each.importance) < 0.5
        axis.text(
            each.head.head - 1, each.head.layer - 1, text,
            ha="center", va="center", fontsize=7, color="white" if light else "black",
        )  # fmt: skip
    axis.set_xticks(range(grid.shape[1]), [str(index + 1) for index in range(grid.shape[1])])
    axis.set_yticks(range(grid.shape[0]), [str(index + 1) for index in range(grid.shape[0])])
    axis.set_xlabel("head")
    axis.set_title(KIND_TITLES[kind])


def _grid(report: ModelReport, kind: str) -> Any:
    """Return the importance [layers, heads], NaN where a layer has fewer heads than another."""
    heads = report.of_kind(kind)
    grid = np.full((max(each.head.layer for each in heads), max(each.head.head for each in heads)), np.nan)
    for each in heads:
        grid[each.head.layer - 1, each.head.head - 1] = each.importance
    return grid
