"""A plot of one or several runs: losses, scores, learning rate, speed and gradient norm by step, tokens or minutes."""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from translator.checkpoints import RunDirectory
from translator.errors import DataError
from translator.runtime.figures import COLOURS, FONT_SIZE, GREY, check_picture, write_picture
from translator.runtime.json_files import mismatch
from translator.training.metrics_log import read_metrics

_SCORES = ("BLEU", "chrF2")
_FIGURES = (
    ("learning_rate", "Learning rate", ""),
    ("tokens_per_second", "Speed", "target tokens/s"),
    ("gradient_norm", "Gradient norm", "L2, before clipping"),
)

AXES = {"step": "step", "tokens": "target tokens", "minutes": "minutes of training"}
"""What curves may be drawn by, and its label. Minutes leave out validations, checkpoints and interruptions."""

Points = tuple[list[float], list[float]]
"""Positions on the horizontal axis, and a value at each."""


@dataclass(frozen=True)
class History:
    """The metrics of one run that are plotted."""

    name: str
    train: list[dict[str, Any]]
    valid: list[dict[str, Any]]
    by: str = "step"

    def trained(self, figure: str) -> Points:
        """A figure of the training steps."""
        return _points((self._at(line["step"]), line.get(figure)) for line in self.train)

    def validated(self, figure: str) -> Points:
        """A figure of the validations."""
        return _points((self._at(line["step"]), line.get(figure)) for line in self.valid)

    def scored(self, name: str) -> Points:
        """A score of the validations."""
        scores = ((line["step"], {s["name"]: s["value"] for s in line.get("scores", ())}) for line in self.valid)
        return _points((self._at(step), values.get(name)) for step, values in scores)

    def _at(self, step: int) -> float:
        """Return where a step is on the horizontal axis, between the logged steps in proportion."""
        if self.by == "step":
            return step
        steps, positions = self._positions
        right = min(max(bisect_left(steps, step), 1), len(steps) - 1)
        share = (step - steps[right - 1]) / (steps[right] - steps[right - 1])
        return positions[right - 1] + share * (positions[right] - positions[right - 1])

    @cached_property
    def _positions(self) -> Points:
        """Logged steps, and the tokens or minutes after each; both begin with 0."""
        steps, tokens, minutes = [0.0], [0.0], [0.0]
        for line in self.train:
            seen: Any = line.get("target_tokens")
            speed: Any = line.get("tokens_per_second")
            if mismatch(seen, float) is None and mismatch(speed, float) is None and speed and line["step"] > steps[-1]:
                minutes.append(minutes[-1] + max(seen - tokens[-1], 0) / speed / 60)
                tokens.append(seen)
                steps.append(line["step"])
        if len(steps) == 1:
            raise DataError(f"{self.name} has no training figures to compute {self.by} from; draw it by step")
        return steps, tokens if self.by == "tokens" else minutes

    def signature(self, name: str) -> str | None:
        """sacreBLEU's signature of a score; of several, the newest."""
        found = [s["signature"] for line in self.valid for s in line.get("scores", ()) if s["name"] == name]
        return found[-1] if found else None


def plot_runs(runs: Sequence[Path], output: Path, *, by: str = "step") -> Path:
    """Draw runs on top of each other into `output`, a PNG, SVG or PDF file by its ending, and return it.

    `by` is what the horizontal axis is, one of `AXES`. Raises `TranslatorError` if matplotlib is not installed or the
    file cannot be written, `DataError` for a run without metrics and for any other file ending.
    """
    check_picture(output)
    histories = [_read(run, name, by) for run, name in zip(runs, _names(runs), strict=True)]
    return write_picture(output, lambda: _draw(histories))


def _read(run: Path, name: str, by: str) -> History:
    path = RunDirectory(run).metrics
    if not path.is_file():
        raise DataError(f"{run} has no {path.name}; expected a run directory that `translator train` made")
    lines = [line for line in read_metrics(path) if isinstance(line.get("step"), int)]
    by_step = sorted(lines, key=lambda line: line["step"])
    train, valid = ([line for line in by_step if line.get("kind") == kind] for kind in ("train", "valid"))
    if not train and not valid:
        raise DataError(f"{path} has no figures yet; the first come after training.log_every steps")
    return History(name, train, valid, by)


def _names(runs: Sequence[Path]) -> list[str]:
    """Choose short names that tell the runs apart; matplotlib treats `$` and a first `_` specially."""
    names = [run.resolve().name for run in runs]
    if len(set(names)) < len(names):
        names = [str(run) for run in runs]
    return [name.replace("$", r"\$") if not name.startswith("_") else f"./{name}" for name in names]


def _points(pairs: Any) -> Points:
    """Split pairs into steps and values; a value that is missing or not a number leaves a gap."""
    found = [(step, value if mismatch(value, float) is None else math.nan) for step, value in pairs]
    if all(math.isnan(value) for _, value in found):
        return [], []
    return [step for step, _ in found], [value for _, value in found]


class _Panel:
    """One set of axes with the curves of all runs; colours tell the runs apart, or the curves of a single run."""

    def __init__(self, axes: Any, histories: Sequence[History], title: str, unit: str) -> None:
        self.axes, self.histories = axes, histories
        self.colours = _colours(len(histories)) if len(histories) > 1 else list(COLOURS)
        self.kinds: list[Any] = []
        axes.set_title(title)
        axes.set_ylabel(unit)
        axes.set_xlabel(AXES[histories[0].by])
        axes.locator_params(axis="x", nbins=6)
        axes.xaxis.set_major_formatter(_thousands)

    def add(self, figure: Callable[[History], Points], label: str, **style: Any) -> None:
        """Add a curve of every run that has the figure."""
        from matplotlib.lines import Line2D

        alone = len(self.histories) == 1
        drawn = False
        for index, history in enumerate(self.histories):
            steps, values = figure(history)
            if steps:
                drawn = True
                colour = self.colours[len(self.kinds) if alone else index]
                # Where runs agree, the curve below stays visible.
                self.axes.plot(steps, values, color=colour, alpha=1.0 if alone else 0.8, **style)
        if drawn:
            colour = self.colours[len(self.kinds)] if alone else GREY
            self.kinds.append(Line2D([], [], color=colour, label=label, **style))

    def explain(self) -> None:
        """Draw the legend of the curves where matplotlib finds room for it."""
        self.axes.legend(handles=self.kinds, loc="best")


def _thousands(number: float, position: int) -> str:
    return f"{number:,.1f}".removesuffix(".0")


def _draw(histories: Sequence[History]) -> Any:
    from matplotlib.figure import Figure

    scored = any(history.signature(name) for history in histories for name in _SCORES)
    figure: Any = Figure(figsize=(11.0, 7.4), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.5, 1.0))
    upper = top.subplots(1, 2 if scored else 1, squeeze=False)[0]
    losses = _Panel(upper[0], histories, "Loss", "nats per target token")
    losses.add(lambda run: run.trained("loss"), "training, smoothed", linewidth=1.0)
    losses.add(lambda run: run.validated("loss"), "validation, smoothed", marker="o", markersize=3.0)
    losses.add(lambda run: run.trained("nll"), "training, plain NLL", linewidth=1.0, linestyle=(0, (1, 1)))
    losses.explain()
    if scored:
        scores = _Panel(upper[1], histories, "Scores on the validation set", ", ".join(_SCORES))
        scores.add(lambda run: run.scored("BLEU"), "BLEU", marker="o", markersize=3.0)
        scores.add(lambda run: run.scored("chrF2"), "chrF2", marker="s", markersize=3.0, linestyle=(0, (3, 1)))
        scores.explain()
        bottom.supxlabel(_signatures(histories), fontsize=FONT_SIZE - 2, color=GREY)
    for axes, (name, title, unit) in zip(bottom.subplots(1, 3), _FIGURES, strict=True):
        panel = _Panel(axes, histories, title, unit)
        panel.add(lambda run, name=name: run.trained(name), title, linewidth=1.0)  # type: ignore[misc]
        if name == "tokens_per_second":
            axes.yaxis.set_major_formatter(_thousands)
    if len(histories) == 1:
        top.suptitle(histories[0].name, fontsize=FONT_SIZE + 3)
    else:
        _name_runs(top, histories)
    return figure


def _name_runs(figure: Any, histories: Sequence[History]) -> None:
    from matplotlib.lines import Line2D

    colours = _colours(len(histories))
    handles = [Line2D([], [], color=c, linewidth=3.0, label=h.name) for c, h in zip(colours, histories, strict=True)]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 4), fontsize=FONT_SIZE + 1)


def _colours(count: int) -> list[Any]:
    """Choose a colour for each of `count` runs; more than a handful are told apart by a scale of brightness."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    from matplotlib import colormaps

    return [colormaps["viridis"](0.95 * index / (count - 1)) for index in range(count)]


def _signatures(histories: Sequence[History]) -> str:
    """Say how scores were computed, run by run if that differs."""
    lines = []
    for name in _SCORES:
        runs: dict[str, list[str]] = {}
        for history in histories:
            signature = history.signature(name)
            if signature:
                runs.setdefault(signature, []).append(history.name)
        if len(runs) == 1:
            lines += [f"{name}: sacreBLEU {signature}" for signature in runs]
        elif runs:
            lines.append(f"{name} was not computed the same way in these runs, do not compare it:")
            lines += [f"{', '.join(names)}: sacreBLEU {signature}" for signature, names in runs.items()]
    return "\n".join(lines)
