"""How far a run has come, in numbers: all that the next step depends on besides weights and optimizer."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from translator.checkpoints import says_nothing, steps_by_merit
from translator.config import Duration, TrainingSettings

SPACING = 50
"""Fewest steps between two validations, if the settings state none: on few pairs, an epoch is a single step."""


class Position(NamedTuple):
    """A position in the training data, between two batches."""

    epoch: int = 0
    """Passes over the data completed."""
    batches: int = 0
    """Batches of the current section before this position."""
    epoch_batches: int = 0
    """Batches in the whole of the current section, 0 at its beginning."""
    section: int = 0
    """Sections of the current epoch completed; most data have one (`translator.data.batch_plan.SECTION_PAIRS`)."""

    def next_epoch(self) -> "Position":
        """Return the beginning of the next epoch, or this position if it is the beginning of one."""
        return Position(self.epoch + 1) if self.batches or self.section else self


@dataclass
class Progress:
    """Position and history of a run; saved with every checkpoint as JSON."""

    step: int = 0
    """Optimizer steps done."""
    epoch: int = 0
    """Passes over the data completed."""
    position: int = 0
    """Batches of the current section of the epoch done."""
    epoch_batches: int = 0
    """Batches in the whole of the current section, 0 before its first: with them `position` can be converted if the
    batch size changes."""
    section: int = 0
    """Sections of the current epoch completed."""
    target_tokens: int = 0
    """Target tokens trained on, all epochs together."""
    seconds: float = 0.0
    """Seconds spent in training, with validations, over all processes that continued the run."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """Step, loss, BLEU with its tokenizer, and chrF of every validation."""
    rate_scale: float = 1.0
    """Factor of the learning rate; every rollback halves it."""
    rollbacks: int = 0
    """How often training went back to a checkpoint."""
    skipped: int = 0
    """Steps whose gradient was not finite, over the whole run."""
    skipped_in_a_row: int = 0
    """Skipped steps in a row, up to and including the last step; 0 if that was not skipped."""

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Progress":
        """Read what `to_state` returned."""
        return cls(**{name: state[name] for name in cls.__dataclass_fields__ if name in state})

    def to_state(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @property
    def data_position(self) -> Position:
        """The position in the training data that the next batch follows."""
        return Position(self.epoch, self.position, self.epoch_batches, self.section)

    @data_position.setter
    def data_position(self, position: Position) -> None:
        self.epoch, self.position, self.epoch_batches, self.section = position

    def has_ended(self, settings: TrainingSettings) -> bool:
        """Whether there is nothing left to train under `settings`."""
        return bool(self.limits_reached(settings))

    def limits_reached(self, settings: TrainingSettings) -> list[str]:
        """Return the names of the settings because of which there is nothing left to train."""
        patience = settings.patience
        reached = {
            "training.max_steps": self.step >= settings.max_steps,
            "training.max_epochs": settings.max_epochs is not None and self.epoch >= settings.max_epochs,
            "training.patience": patience is not None and self.stale_validations(settings.best_metric) >= patience,
        }
        return [name for name, is_reached in reached.items() if is_reached]

    def is_due(self, every: Duration | Literal["auto"], epochs_before: int) -> bool:
        """Whether a validation is due after the step that was just done, before which `epochs_before` were complete.

        `auto` is the end of every epoch that comes at least `SPACING` steps after the last validation.
        """
        if every == "auto":
            last = int(self.history[-1]["step"]) if self.history else 0
            return self.epoch > epochs_before and self.step - last >= SPACING
        if every.unit == "steps":
            return self.step % every.amount == 0
        return self.epoch // every.amount > epochs_before // every.amount

    def best_steps(self, metric: str) -> list[int]:
        """Steps of the validations, best first; of equals, the earlier."""
        return steps_by_merit(self.history, metric)

    def stale_validations(self, metric: str) -> int:
        """Validations since the best one; as long as BLEU says nothing, a better loss is progress as well."""
        best = self.best_steps(metric)
        if not best:
            return 0
        last = best[0]
        if metric == "bleu" and says_nothing(self.history):
            last = max(last, self.best_steps("loss")[0])
        return sum(entry["step"] > last for entry in self.history)
