"""How what heads do changes through a training: a report on all heads for every checkpoint that was kept."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translator.checkpoints import RunDirectory
from translator.config import Head
from translator.errors import DataError
from translator.inspection.gold import read_links
from translator.inspection.pairs import read_pairs
from translator.inspection.report import HeadReport, ModelReport, inspect_heads
from translator.runtime.columns import align
from translator.runtime.console import say
from translator.runtime.counted import counted
from translator.runtime.outputs import write_output
from translator.translation import Translator
from translator.translation.result import rounded

FIGURES = {
    "alignment": "share on the right word",
    "entropy": "entropy (nats)",
    "importance": "rise of the loss when masked\n(nats per token)",
}
"""What is followed through a training, and its label if a word alignment is known; see `figure_of`."""


def figure_of(report: HeadReport, name: str) -> float | None:
    """Return a figure of `FIGURES`; None if it does not apply.

    `alignment` is the share of the words of a known alignment for which the head looks most at an aligned word; without
    such an alignment, the share of the target's information that its links carry.
    """
    if name == "alignment":
        return report.aligned if report.aligned is not None else report.information
    return report.importance if name == "importance" else report.figures[name]


@dataclass(frozen=True)
class History:
    """The reports on the checkpoints of one run, oldest first."""

    reports: list[ModelReport]

    @property
    def run(self) -> str:
        """The name of the run."""
        return self.reports[0].run

    @property
    def heads(self) -> list[Head]:
        """All heads of the model, by kind, layer and index."""
        return [each.head for each in self.reports[0].heads]

    @property
    def steps(self) -> list[int]:
        """The steps of the checkpoints."""
        return [report.step for report in self.reports]

    def label(self, name: str) -> str:
        """Return the label of a figure of `FIGURES` in a picture."""
        if name == "alignment" and not self.reports[0].gold_words:
            return "share of the target's information"
        return FIGURES[name]

    def curve(self, head: Head, name: str) -> list[float] | None:
        """Return a figure of a head at every step; None if it does not apply to its kind."""
        index = self.heads.index(head)
        values = [figure_of(report.heads[index], name) for report in self.reports]
        known = [value for value in values if value is not None]
        return known if len(known) == len(values) else None


def load_checkpoints(run: Path, at_least: int, **machine: Any) -> Iterator[Translator]:
    """Load the checkpoints of a run one after the other, oldest first, and say which.

    `machine` goes to `Translator.load`. Raises `DataError` if there are fewer than `at_least`.
    """
    steps = RunDirectory(run).steps()
    if len(steps) < at_least:
        raise DataError(
            f"{run} has {counted(len(steps), 'checkpoint')}, expected at least {'one' if at_least == 1 else 'two'}; "
            "train with training.keep_every=N to keep those at multiples of N steps"
        )
    for number, step in enumerate(steps, start=1):
        say(f"{run}: checkpoint {number} of {len(steps)}, step {step:,}")
        yield Translator.load(run, engine="native", weights=str(step), **machine)


def inspect_checkpoints(
    run: Path, source: Path, reference: Path, *, alignment: Path | None = None, to: str | None = None, **machine: Any
) -> History:
    """Measure all heads at every checkpoint of a run, on the same sentence pairs, with progress on stderr.

    The arguments are those of `read_pairs` and `read_links`; `machine` goes to `Translator.load`. Raises `DataError` if
    the run has fewer than two checkpoints, and what loading and reading raise.
    """
    reports: list[ModelReport] = []
    for translator in load_checkpoints(run, 2, **machine):
        if not reports:
            # All checkpoints of a run have its vocabulary.
            pairs = read_pairs(translator.bundle, source, reference, to)
            gold = read_links(alignment, pairs) if alignment is not None else None
        reports.append(inspect_heads(translator, pairs, gold=gold, to=to))
    return History(reports)


def history_table(history: History) -> str:
    """Return the loss at every checkpoint, and for every head each figure at the first and the last one."""
    first, last = history.reports[0], history.reports[-1]
    lines = [
        f"{history.run} on {counted(first.sentences, 'pair')} of {first.test_set}, "
        f"{counted(len(history.reports), 'checkpoint')}",
        "loss  " + "  ".join(f"{report.step:,}: {report.loss:.3f}" for report in history.reports),
        f"alignment: {_alignment_label(first)}",
        "loss: its rise when the head is masked; each from the first checkpoint to the last",
        "",
    ]
    rows = [["head", "alignment", "entropy", "loss"]]
    for index, head in enumerate(history.heads):
        row = [str(head)]
        for name, digits in (("alignment", 2), ("entropy", 2), ("importance", 4)):
            ends = [figure_of(report.heads[index], name) for report in (first, last)]
            row.append(" > ".join("-" if value is None else f"{value:.{digits}f}" for value in ends))
        rows.append(row)
    return "\n".join([*lines, *align(rows)])


def _alignment_label(report: ModelReport) -> str:
    if report.gold_words:
        return f"share of {counted(report.gold_words, 'aligned word')} that the head looks at most"
    return "share of the target's information that the head's links carry"


def write_history(histories: Sequence[History], path: Path) -> Path:
    """Write the curves of runs as JSON, and return the file."""
    content = [
        {
            "run": history.run,
            "test_set": history.reports[0].test_set,
            "steps": history.steps,
            "loss": [rounded(report.loss) for report in history.reports],
            "heads": {
                str(head): {
                    name: [rounded(value) for value in curve]
                    for name in FIGURES
                    if (curve := history.curve(head, name)) is not None
                }
                for head in history.heads
            },
        }
        for history in histories
    ]
    return write_output(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
