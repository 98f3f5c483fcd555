"""What a checkpoint of a training holds, gathered from its parts and put back into them."""

from dataclasses import dataclass

import torch

from translator.checkpoints import Checkpoint, load_weights, model_tensors
from translator.model import Transformer
from translator.training.moving_average import MovingAverage
from translator.training.optimizer import optimizer_tensors, restore_optimizer
from translator.training.parallel import Parallel
from translator.training.progress import Progress

_TRAINED = "/trained"


@dataclass(frozen=True)
class TrainingState:
    """The parts whose state decides the next step, besides settings and data.

    Random numbers are not among them: those of a step are a pure function of (seed, step, rank), those of a batch of
    (seed, epoch, position).
    """

    model: Transformer
    optimizer: torch.optim.Optimizer
    average: MovingAverage | None
    scaler: torch.amp.GradScaler
    parallel: Parallel

    def capture(self, progress: Progress) -> Checkpoint:
        """Gather a checkpoint; whole on the main process, without tensors on the others. All must call it.

        Its weights are what later commands use: the moving average where there is one. The weights that training goes
        on from then lie beside the optimizer's tensors, as `PARAMETER/trained`.
        """
        weights = model_tensors(self.model)
        optimizer = optimizer_tensors(self.model, self.optimizer)
        if self.average is not None:
            optimizer |= {name + _TRAINED: weight for name, weight in weights.items()}
            weights = self.average.values
        scaler = self.scaler.state_dict() if self.scaler.is_enabled() else None
        state = {**progress.to_state(), "scaler": scaler}
        return Checkpoint(self.parallel.whole(weights), self.parallel.whole(optimizer), state)

    def restore(self, checkpoint: Checkpoint, where: str) -> Progress:
        """Put a checkpoint back, however many processes wrote it; `where` names it in a `CheckpointError`."""
        tensors = checkpoint.optimizer
        weights = checkpoint.weights
        if self.average is not None:
            self.average.load(self.parallel.pieces(weights))
            ending = len(_TRAINED)
            weights = {name[:-ending]: value for name, value in tensors.items() if name.endswith(_TRAINED)}
        load_weights(self.model, self.parallel.pieces(weights), where)
        restore_optimizer(self.model, self.optimizer, self.parallel.pieces(tensors))
        if self.scaler.is_enabled() and checkpoint.state.get("scaler"):
            self.scaler.load_state_dict(checkpoint.state["scaler"])
        return Progress.from_state(checkpoint.state)
