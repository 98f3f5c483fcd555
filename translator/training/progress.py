"""How far a run has come, in numbers: all that the next step depends on besides weights and optimizer."""

from dataclasses import asdict, dataclass, field
from typing import Any

from translator.checkpoints import steps_by_merit
from translator.config import Duration, TrainingSettings


@dataclass
class Progress:
    """Position and history of a run; saved with every checkpoint as JSON."""

    step: int = 0
    """Optimizer steps done."""
    epoch: int = 0
    """Passes over the data completed."""
    position: int = 0
    """Batches of the current epoch done."""
    epoch_batches: int = 0
    """Batches in the whole of the current epoch, 0 before its first: with them `position` can be converted if the batch
    size changes."""
    target_tokens: int = 0
    """Target tokens trained on, all epochs together."""
    seconds: float = 0.0
    """Seconds spent in training, with validations, over all processes that continued the run."""
    history: list[dict[str, float]] = field(default_factory=list)
    """Step, loss and BLEU of every validation."""
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

    def has_ended(self, settings: TrainingSettings) -> bool:
        """Whether there is nothing left to train under `settings`."""
        if self.step >= settings.max_steps:
            return True
        if settings.max_epochs is not None and self.epoch >= settings.max_epochs:
            return True
        patience = settings.patience
        return patience is not None and self.stale_validations(settings.best_metric) >= patience

    def is_due(self, every: Duration, epochs_before: int) -> bool:
        """Whether something that happens once in `every` steps or epochs is due after the step that was just done."""
        if every.unit == "steps":
            return self.step % every.amount == 0
        return self.epoch // every.amount > epochs_before // every.amount

    def best_steps(self, metric: str) -> list[int]:
        """Steps of the validations, best first; of equals, the earlier."""
        return steps_by_merit(self.history, metric)

    def stale_validations(self, metric: str) -> int:
        """Validations since the best one."""
        best = self.best_steps(metric)
        return sum(entry["step"] > best[0] for entry in self.history) if best else 0
