"""The checkpoints of a running training: which one it continues from, when one is written, which are kept."""

import math
from collections.abc import Mapping
from typing import Any

from translator.checkpoints import (
    Checkpoint,
    Identity,
    RunDirectory,
    check_identity,
    explained_disk_errors,
    files_of_checkpoint,
    read_checkpoint,
    read_newest,
    read_state,
    set_aside_damaged,
    write_checkpoint,
)
from translator.config import TrainingSettings
from translator.distributed.world import World
from translator.errors import DamagedCheckpointError
from translator.runtime.console import warn
from translator.runtime.directories import foreign_names
from translator.training.progress import Progress
from translator.training.state import TrainingState


class Checkpointing:
    """Reads and writes the checkpoints of a run. All processes must call its methods, in the same order.

    The main process looks at the directory, for all: those of a shared disk may differ for a while.
    """

    def __init__(
        self, run: RunDirectory, state: TrainingState, settings: TrainingSettings, world: World, identity: Identity,
        began_with: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.identity, self.began_with = identity, began_with
        self.run, self.state, self.settings, self.world = run, state, settings, world
        self.saved_step = 0
        """The step of the checkpoint that this process wrote last."""
        self._kept_for_others: set[int] = set()

    def newest(self) -> tuple[int, Checkpoint | None]:
        """Read the newest intact checkpoint; return its step and the checkpoint, or 0 and None."""
        found = read_newest(self.run) if self.world.is_main else None
        if found is not None:
            check_identity(self.run.checkpoint(found[0]), found[1].state, self.identity, self.run.root)
        step = self.world.gather(found[0] if found is not None else 0)[0]
        if found is not None or not step:
            return step, found[1] if found is not None else None
        return step, read_checkpoint(self.run.checkpoint(step))

    def return_to_good(self) -> tuple[int, Checkpoint | None]:
        """Remove all checkpoints after the newest good one, and read that; return its step, or 0 and None.

        Within a row of skipped steps the weights stay what they were, so that what was saved there is as bad as its
        end; and so is what had a validation loss that is not finite.
        """
        if self.world.is_main:
            for step in reversed(self.run.steps()):
                try:
                    state, _ = read_state(self.run.checkpoint(step))
                except DamagedCheckpointError:
                    continue  # It is set aside by `newest`, and not removed.
                if _is_good(state):
                    break
                self._remove(step)
        return self.newest()

    def steps(self) -> list[int]:
        """Return the steps of the checkpoints that exist, oldest first."""
        return self.world.gather(self.run.steps())[0]

    def intact_steps(self) -> list[int]:
        """Set aside damaged checkpoints, and return the steps of the others, oldest first."""
        self.world.main_first(lambda: set_aside_damaged(self.run))
        return self.steps()

    def _remove(self, step: int) -> None:
        path = self.run.checkpoint(step)
        if not (foreign := foreign_names(path, files_of_checkpoint)):
            self.run.remove_checkpoint(step)
        elif step not in self._kept_for_others:
            self._kept_for_others.add(step)
            warn(f"{path} is kept: it holds what we did not write ({', '.join(foreign[:3])})")

    def save(self, progress: Progress) -> None:
        """Write a checkpoint of this step and remove those that no setting keeps."""
        settings = self.settings
        checkpoint = self.state.capture(progress)
        checkpoint.state.update(self.identity.as_state() | dict(self.began_with))
        if self.world.is_main:
            write_checkpoint(self.run.checkpoint(progress.step), checkpoint)
            steps = self.run.steps()
            # What is saved for an interruption is kept until the next validation and displaces nothing, so that a run
            # has the same checkpoints whether it was interrupted or not.
            best = [step for step in progress.best_steps(settings.best_metric) if step in steps]
            kept = {progress.step, *sorted(best)[-settings.keep_last :], *best[: settings.keep_best]}
            if settings.keep_every is not None:
                kept.update(step for step in steps if step % settings.keep_every == 0)
            with explained_disk_errors(self.run):
                for step in steps:
                    if step not in kept:
                        self._remove(step)
        self.saved_step = progress.step
        self.world.barrier()


def _is_good(state: Mapping[str, Any]) -> bool:
    """Whether the weights of a checkpoint had a gradient and, where they were validated, a loss."""
    history = state.get("history", [])
    was_validated = bool(history) and history[-1]["step"] == state["step"]
    return not state.get("skipped_in_a_row") and (not was_validated or math.isfinite(history[-1]["loss"]))
