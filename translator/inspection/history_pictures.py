"""A picture of what heads do through a training: a curve for each head, runs beside each other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from translator.config import KINDS
from translator.inspection.history import FIGURES, History, write_history
from translator.inspection.labels import KIND_TITLES, readable
from translator.runtime.figures import FONT_SIZE, write_picture


def write_histories(histories: Sequence[History], path: Path) -> Path:
    """Write the histories of runs as JSON or as a picture, by the ending of `path`, and return the file."""
    if path.suffix.lower() == ".json":
        return write_history(histories, path)
    return write_picture(path, lambda: _draw(histories), {"text.parse_math": False})


def _draw(histories: Sequence[History]) -> Any:
    """Draw a row for each figure and a column for each kind and run; a row has one scale, so that runs compare."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(10.0 * len(histories), 8.0), layout="constrained")
    parts = figure.subfigures(1, len(histories), squeeze=False)[0]
    rows: dict[str, list[Any]] = {name: [] for name in FIGURES}
    for history, part in zip(histories, parts, strict=True):
        layers = max(head.layer for head in history.heads)
        colours = [colormaps["viridis"](0.9 * index / max(layers - 1, 1)) for index in range(layers)]
        grid = part.subplots(len(FIGURES), len(KINDS), sharex=True)
        for row, name in enumerate(FIGURES):
            for column, kind in enumerate(KINDS):
                axes = grid[row][column]
                if _draw_kind(axes, history, kind, name, colours):
                    rows[name].append(axes)
                    axes.set_ylabel(history.label(name))
                    axes.tick_params(labelbottom=True)
                else:
                    axes.set_visible(False)
                if name == "entropy":
                    axes.set_title(KIND_TITLES[kind])
                if row == len(FIGURES) - 1:
                    axes.set_xlabel("step")
                    axes.locator_params(axis="x", nbins=5, integer=True)
        part.legend(
            handles=_legend(colours), loc="upper left", title="a line for each head;\ncolour: its layer", frameon=False
        )
        part.suptitle(readable(history.run), fontsize=FONT_SIZE + 3)
    for axes in rows.values():
        lowest, highest = min(each.get_ylim()[0] for each in axes), max(each.get_ylim()[1] for each in axes)
        for each in axes:
            each.set_ylim(lowest, highest)
    return figure


def _draw_kind(axes: Any, history: History, kind: str, name: str, colours: Sequence[Any]) -> bool:
    """Draw a figure of all heads of a kind, each curve named at its end; return whether it applies to the kind."""
    drawn = False
    for head in history.heads:
        curve = history.curve(head, name) if head.kind == kind else None
        if curve is not None:
            drawn = True
            axes.plot(history.steps, curve, color=colours[head.layer - 1], linewidth=1.2, alpha=0.9)
            axes.annotate(
                f"{head.layer}.{head.head}", (history.steps[-1], curve[-1]), xytext=(3, 0), textcoords="offset points",
                fontsize=FONT_SIZE - 3, va="center", color=colours[head.layer - 1],
            )  # fmt: skip
    return drawn


def _legend(colours: Sequence[Any]) -> list[Any]:
    from matplotlib.lines import Line2D

    return [Line2D([], [], color=colour, label=f"layer {number}") for number, colour in enumerate(colours, start=1)]
