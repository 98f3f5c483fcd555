"""Going on from what is whole: a damaged checkpoint is named and set aside, and the one before it is used."""

from pathlib import Path

from translator.checkpoints.checkpoint import Checkpoint, read_checkpoint, verify_checkpoint
from translator.checkpoints.run_directory import DAMAGED, FINAL, RunDirectory
from translator.errors import CheckpointError, DamagedCheckpointError
from translator.runtime.console import warn


def read_newest(run: RunDirectory) -> tuple[int, Checkpoint] | None:
    """Read the newest checkpoint that is whole and return it with its step; None where there is no checkpoint.

    Damaged ones that are newer are named on stderr and set aside, so that neither resuming nor retention counts them.
    Raises `CheckpointError`, and changes nothing, where none is whole.
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
        if damages:
            warn(f"going on from {run.checkpoint(step)}, the newest checkpoint that is whole")
        return step, checkpoint
    if damages:
        raise CheckpointError(
            f"none of the checkpoints in {run.checkpoints} is whole: {'; '.join(damages.values())}. Put one back "
            f"from a copy of the run, or delete {run.checkpoints} to train from the beginning"
        )
    return None


def read_final(run: RunDirectory) -> Checkpoint | None:
    """Read the weights that the run ended with, without optimizer; damaged ones are set aside and count as None."""
    path = run.models / FINAL
    if not path.is_dir():
        return None
    try:
        return read_checkpoint(path, with_optimizer=False)
    except DamagedCheckpointError as error:
        _set_aside(path, error.damage)
        return None


def set_aside_damaged(run: RunDirectory) -> None:
    """Verify all checkpoints and set aside those that are damaged, before several of them are read together."""
    for step in run.steps():
        try:
            verify_checkpoint(run.checkpoint(step))
        except DamagedCheckpointError as error:
            _set_aside(run.checkpoint(step), error.damage)


def _set_aside(path: Path, damage: str) -> None:
    aside, count = path.with_name(f"{DAMAGED}{path.name}"), 1
    while aside.exists():
        count += 1
        aside = path.with_name(f"{DAMAGED}{path.name}-{count}")
    path.rename(aside)
    warn(f"{damage}; it is set aside as {aside}, which may be deleted")
