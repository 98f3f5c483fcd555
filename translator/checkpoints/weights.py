"""Which of the weights in a run directory a name means."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from translator.checkpoints.checkpoint import read_state
from translator.checkpoints.merit import best_first
from translator.checkpoints.run_directory import FINAL, RunDirectory
from translator.config import read_run_config
from translator.errors import DamagedCheckpointError


def find_weights(run: RunDirectory, name: str | None = None) -> Path:
    """Return the directory of the weights called `name`: `final`, `best`, `last`, a step, or a directory in `models`.

    By default `final`, or `best` in a run that has not ended: the best checkpoint by validation of those that are kept,
    the newest if none was validated. Raises `CheckpointError` if there are no such weights.
    """
    if name is None:
        name = FINAL if run.has_final() else "best"
    if name == "best" and run.steps():
        best = best_steps(run, read_run_config(run.root).training.best_metric)
        name = str(best[0]) if best else "last"
    return run.weights(name)


def best_steps(run: RunDirectory, metric: str) -> list[int]:
    """Steps of the checkpoints that exist and were validated, best by `metric` (see `best_first`) first."""
    steps = run.steps()
    for step in reversed(steps):
        try:
            history = read_state(run.checkpoint(step))[0].get("history", [])
        except DamagedCheckpointError:
            # An older one knows the validations up to its own. Whoever reads the weights says what is damaged.
            continue
        return [step for step in steps_by_merit(history, metric) if step in steps]
    return []


def steps_by_merit(history: Sequence[Mapping[str, Any]], metric: str) -> list[int]:
    """Steps of the validations in `history` that have the `metric`, best first; of equals, the earlier."""
    return [int(entry["step"]) for entry in best_first([entry for entry in history if metric in entry], metric)]
