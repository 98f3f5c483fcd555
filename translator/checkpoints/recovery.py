"""Continuing from an intact checkpoint: a damaged one is named and set aside, and the one before it is used."""

import os
from pathlib import Path

from translator.checkpoints.checkpoint import Checkpoint, read_checkpoint, read_state, verify_checkpoint
from translator.checkpoints.run_directory import FINAL, RunDirectory
from translator.errors import CheckpointError, DamagedCheckpointError
from translator.runtime.console import warn
from translator.runtime.directories import set_aside


def read_newest(run: RunDirectory) -> tuple[int, Checkpoint] | None:
    """Read the newest intact checkpoint and return it with its step; None if there is no checkpoint.

    Newer ones that are damaged are named on stderr and set aside, so that neither resuming nor retention counts them;
    so is whatever has the name of an older one but is no directory. Raises `CheckpointError`, and changes nothing, if
    none is intact.
    """
    damages: dict[int, str] = {}
    for step in reversed(run.steps()):
        try:
            checkpoint = read_checkpoint(run.checkpoint(step))
        except DamagedCheckpointError as error:
            damages[step] = error.damage
            continue
        for damaged, damage in damages.items():
            _set_aside(run.checkpoint(damaged), damage)
        for older in run.steps():
            if not run.checkpoint(older).is_dir():
                _set_aside(run.checkpoint(older), f"{run.checkpoint(older)} is damaged: it is no directory")
        if damages:
            warn(f"continuing from {run.checkpoint(step)}, the newest intact checkpoint")
        return step, checkpoint
    if damages:
        raise CheckpointError(
            f"none of the checkpoints in {run.checkpoints} is intact: {'; '.join(damages.values())}. Put one back "
            f"from a copy of the run, or delete {run.checkpoints} to train from the beginning"
        )
    return None


def read_final(run: RunDirectory) -> Checkpoint | None:
    """Read the weights that the run ended with, without optimizer; damaged ones are set aside and count as None."""
    path = run.models / FINAL
    if not os.path.lexists(path):
        return None
    try:
        return read_checkpoint(path, with_optimizer=False)
    except DamagedCheckpointError as error:
        _set_aside(path, error.damage)
        return None


def warn_of_missing(run: RunDirectory) -> None:
    """Warn if the final model is newer than all checkpoints: the one that it was made from is gone."""
    final, steps = run.models / FINAL, run.steps()
    try:
        step = read_state(final)[0]["step"]
    except CheckpointError:
        # It is named where it is read.
        return
    if step > max(steps, default=0):
        others = f"the newest is {run.checkpoint(steps[-1])}" if steps else "there is none at all"
        warn(f"the checkpoint that {final} was made from, {run.checkpoint(step)}, is missing; {others}")


def set_aside_damaged(run: RunDirectory) -> None:
    """Verify all checkpoints and set aside those that are damaged, before several of them are read together."""
    for step in run.steps():
        try:
            verify_checkpoint(run.checkpoint(step))
        except DamagedCheckpointError as error:
            _set_aside(run.checkpoint(step), error.damage)


def _set_aside(path: Path, damage: str) -> None:
    warn(f"{damage}; it is set aside as {set_aside(path)}, which may be deleted")
