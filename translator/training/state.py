"""The state of a training: made before the first step, saved in checkpoints, and restored from them."""

from dataclasses import dataclass

import torch

from translator.attention.kernels import require_kernel
from translator.checkpoints import Checkpoint, load_weights, model_tensors
from translator.config import TrainingSettings
from translator.distributed.world import World
from translator.errors import ConfigError
from translator.model import Transformer
from translator.runtime.device import Machine
from translator.training.initial_model import freeze
from translator.training.moving_average import MovingAverage
from translator.training.optimizer import make_optimizer, optimizer_tensors, restore_optimizer
from translator.training.parallel import Parallel, share_model
from translator.training.progress import Progress

_TRAINED = "/trained"


@dataclass(frozen=True)
class TrainingState:
    """The parts that determine the next step, besides settings and data.

    Random numbers are not among them: those of a step are a pure function of (seed, step, rank), those of a batch of
    (seed, epoch, position).
    """

    model: Transformer
    optimizer: torch.optim.Optimizer
    average: MovingAverage | None
    scaler: torch.amp.GradScaler
    parallel: Parallel

    @classmethod
    def initial(
        cls, model: Transformer, settings: TrainingSettings, machine: Machine, world: World | None = None
    ) -> "TrainingState":
        """The state before the first step of `model`, which is on the CPU; all processes start with the same weights.

        Raises `ConfigError` if a pattern of `training.freeze` matches nothing, or if `training.activations` or
        `training.sharded_gather` does not suit the precision, and `DeviceError` if `training.attention_kernel` does not
        run here.
        """
        freeze(model, settings.freeze)
        shape = model.settings
        require_kernel(
            settings.attention_kernel, machine.device, machine.dtype, shape.width_of_head, shape.attention_dropout
        )
        model.use_attention_kernel(settings.attention_kernel)
        if settings.activations == "bf16":
            _require_bf16("activations", machine)
        on_cpu = machine.device.type == "cpu" and machine.precision == "bf16"
        if settings.activations == "bf16" or (settings.activations == "auto" and on_cpu):
            model.activation_dtype = torch.bfloat16
        gather_dtype = torch.bfloat16 if settings.sharded_gather == "bf16" else torch.float32
        if settings.sharded_gather == "bf16":
            _require_bf16("sharded_gather", machine)
        parallel = share_model(model, world or World(), machine.device, settings.sharded, gather_dtype)
        return cls(
            model=model,
            optimizer=make_optimizer(model, settings),
            average=MovingAverage(model, settings.ema_decay) if settings.ema_decay else None,
            scaler=torch.amp.GradScaler(machine.device.type, enabled=machine.precision == "fp16"),
            parallel=parallel,
        )

    def restart(self, model: Transformer) -> None:
        """Return to the state before the first step, with the weights of `model`, which `initial` was called with."""
        weights = self.parallel.shard(model_tensors(model))
        load_weights(self.model, weights, "the initial model")
        if self.average is not None:
            self.average.load(weights)
        self.forget_steps()

    def forget_steps(self) -> None:
        """Drop gradients and the optimizer's state, as before the first step."""
        self.optimizer.zero_grad(set_to_none=True)
        self.optimizer.state.clear()

    def capture(self, progress: Progress) -> Checkpoint:
        """Gather a checkpoint: complete on the main process, without tensors on the others. All must call it.

        Its weights are what later commands use: the moving average if there is one. The weights that training
        continues from are then stored next to the optimizer's tensors, as `PARAMETER/trained`.
        """
        weights = model_tensors(self.model)
        optimizer = optimizer_tensors(self.model, self.optimizer)
        if self.average is not None:
            optimizer |= {name + _TRAINED: weight for name, weight in weights.items()}
            weights = self.average.values
        scaler = self.scaler.state_dict() if self.scaler.is_enabled() else None
        state = {**progress.to_state(), "scaler": scaler}
        return Checkpoint(self.parallel.gather(weights), self.parallel.gather(optimizer), state)

    def restore(self, checkpoint: Checkpoint, where: str) -> Progress:
        """Restore a checkpoint, whatever number of processes wrote it; `where` names it in a `CheckpointError`."""
        tensors = checkpoint.optimizer
        weights = checkpoint.weights
        if self.average is not None:
            self.average.load(self.parallel.shard(weights))
            weights = {name[: -len(_TRAINED)]: value for name, value in tensors.items() if name.endswith(_TRAINED)}
        load_weights(self.model, self.parallel.shard(weights), where)
        restore_optimizer(self.model, self.optimizer, self.parallel.shard(tensors))
        if self.scaler.is_enabled() and checkpoint.state.get("scaler"):
            self.scaler.load_state_dict(checkpoint.state["scaler"])
        return Progress.from_state(checkpoint.state)


def _require_bf16(setting: str, machine: Machine) -> None:
    if machine.precision != "bf16":
        raise ConfigError([f"training.{setting}: bf16 needs precision=bf16; found {machine.precision}"])
