"""Holds a finished run to the scores that its recipe expects."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translator.checkpoints.run_directory import FINAL
from translator.config import Config, read_run_config, replace_stated
from translator.errors import EvaluationError
from translator.evaluation import read_scores
from translator.recipes.recipe import Expectation, Recipe
from translator.runtime.columns import align


@dataclass(frozen=True)
class Finding:
    """What a run scored beside what was expected of it."""

    expected: Expectation
    found: float | None
    """The newest score with the signature that is expected; None if there is none."""

    @property
    def is_held(self) -> bool:
        """Whether the score is as expected; never, where nothing was measured to hold it to."""
        mean = self.expected.mean
        return self.found is not None and mean is not None and abs(self.found - mean) <= self.expected.tolerance

    @property
    def verdict(self) -> str:
        """The outcome in a few words."""
        if self.expected.mean is None:
            return "expectation not yet measured"
        if self.found is None:
            return "no such score in scores.json"
        return "as expected" if self.is_held else "NOT as expected"


def check_recipe(recipe: Recipe, run: Path | None = None) -> list[Finding]:
    """Compare the newest scores in the runs of a recipe with each expectation.

    Those of ensembles, of other weights than the final ones, and with other decoding settings do not count. A better
    score than expected is not as expected either: then the recipe has to be measured again. A recipe that was not yet
    measured needs no run. Raises `EvaluationError` if a run does not exist or its `scores.json` is damaged.
    """
    findings = []
    for expectation in recipe.expected:
        [directory] = recipe.filled(expectation.run, run or Path(recipe.run), {})
        if not Path(directory).is_dir():
            if not recipe.is_measured:
                findings.append(Finding(expectation, None))
                continue
            raise EvaluationError(
                f"there is no run {directory}; run the recipe first, or name its run with run=DIRECTORY"
            )
        scores = _comparable(Path(directory), expectation)
        found = [
            score["value"]
            for score in scores
            if score["name"] == expectation.metric and score["signature"] == expectation.signature
        ]
        findings.append(Finding(expectation, found[-1] if found else None))
    return findings


def _comparable(run: Path, expectation: Expectation) -> list[dict[str, Any]]:
    """Return the scores on the test set of an expectation that were made as it says, oldest first."""
    stated = Config(decoding=expectation.decoding)
    settings = replace_stated(read_run_config(run).decoding, stated).model_dump(mode="json")
    return [
        score
        for entry in read_scores(run)
        if entry["test_set"] == expectation.test_set
        and entry["weights"] == FINAL
        and not entry.get("together_with")
        # An older version had fewer settings.
        and all(settings.get(name) == value for name, value in entry["decoding"].items())
        for score in entry["scores"]
    ]


def expectations_table(expectations: Sequence[Expectation]) -> str:
    """Return a line for each expectation, and a line for each signature."""
    return _table(expectations, [])


def findings_table(findings: Sequence[Finding]) -> str:
    """Return `expectations_table` with what was found and the outcome."""
    more = [["found", "outcome"], *([_figure(finding.found), finding.verdict] for finding in findings)]
    return _table([finding.expected for finding in findings], more)


def _table(expectations: Sequence[Expectation], more: Sequence[Sequence[str]]) -> str:
    rows = [["test set", "metric", "expected", "seeds", "spread", "published"]]
    for item in expectations:
        expected = "" if item.mean is None else f"{item.mean:.2f} ± {item.tolerance:.2f}"
        figures = [str(len(item.scores)), _figure(item.spread), _figure(item.published)]
        rows.append([item.test_set, item.metric, expected, *figures])
    if more:
        rows = [[*row, *cells] for row, cells in zip(rows, more, strict=True)]
    signatures = dict.fromkeys(f"{item.metric:<8} {item.signature}" for item in expectations)
    return "\n".join([*align(rows), "", *signatures])


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
