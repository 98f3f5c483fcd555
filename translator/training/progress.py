"""Where a run stands, in numbers: all that the next step depends on besides weights and optimizer."""

from dataclasses import asdict, dataclass, field
from typing import Any

from translator.checkpoints import steps_by_merit
from translator.config import Duration


@dataclass
class Progress:
    """Position and history of a run; saved with every checkpoint as JSON."""

    step: int = 0
    """Optimizer steps done."""
    epoch: int = 0
    """Passes over the data completed."""
    position: int = 0
    """Batches of the present epoch done."""
    epoch_batches: int = 0
    """Batches of the present epoch, 0 before its first: what `position` is counted in, if the batch size changes."""
    target_tokens: int = 0
    """Target tokens trained on, all epochs together."""
    seconds: float = 0.0
    """Seconds spent in training, validations included, over all sittings."""
    history: list[dict[str, float]] = field(default_factory=list)
    """Step, loss and BLEU of every validation."""
    rate_scale: float = 1.0
    """Factor of the learning rate; halved by every rollback."""
    rollbacks: int = 0
    """How often training went back to a checkpoint."""
    skipped: int = 0
    """Steps whose gradient was not finite, over the whole run."""
    skipped_in_a_row: int = 0
    """Of these, the ones that the last step ends."""

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Progress":
        """Read back `to_state`."""
        return cls(**{name: state[name] for name in cls.__dataclass_fields__ if name in state})

    def to_state(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def is_due(self, every: Duration, epochs_before: int) -> bool:
        """Whether something that happens `every` so often is due after the step that was just done."""
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
