"""What a checkpoint of a training holds, gathered from its parts and put back into them."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import nn

from translator.checkpoints import Checkpoint, RunDirectory, load_weights, model_tensors, read_checkpoint
from translator.config import Config, parse_start
from translator.distributed.world import World
from translator.errors import ConfigError
from translator.model import Transformer, build_model, count_parameters
from translator.runtime.console import say
from translator.runtime.device import Machine
from translator.text import TokenizerPair
from translator.training.moving_average import MovingAverage
from translator.training.optimizer import make_optimizer, optimizer_tensors, restore_optimizer
from translator.training.parallel import Parallel, share_model
from translator.training.progress import Progress
from translator.training.update import Forward, Updater

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


@dataclass(frozen=True)
class Beginning:
    """Everything that steps need and that is not data."""

    config: Config
    tokenizers: TokenizerPair
    parameters: int
    """Numbers in the model, trained or not."""
    update: Updater
    state: TrainingState

    def restart(self) -> None:
        """Put the weights back to what they were before the first step, and forget the optimizer's state."""
        fresh = initial_model(self.config, self.tokenizers)
        parallel = self.update.parallel
        weights = parallel.pieces({name: p.detach() for name, p in fresh.named_parameters()})
        load_weights(self.update.model, weights, "the beginning")
        if self.state.average is not None:
            self.state.average.load(weights)
        self.update.forget()


def begin(config: Config, tokenizers: TokenizerPair, machine: Machine, world: World, compiled: bool) -> Beginning:
    """Build the parts; all processes begin with the same weights.

    Raises `ConfigError` for patterns of `training.freeze` that fit nothing, and `CheckpointError` where the run to
    start from has no such weights.
    """
    settings = config.training
    model = initial_model(config, tokenizers)
    _freeze(model, settings.freeze)
    parameters = count_parameters(model)
    parallel = share_model(model, world, machine.device, settings.sharded)
    optimizer = make_optimizer(model, settings)
    average = MovingAverage(model, settings.ema_decay) if settings.ema_decay else None
    forward: Forward = torch.compile(model, dynamic=False) if compiled else model
    update = Updater(model, optimizer, machine, settings, forward, world, parallel)
    state = TrainingState(model, optimizer, average, update.scaler, parallel)
    return Beginning(config, tokenizers, parameters, update, state)


def initial_model(config: Config, tokenizers: TokenizerPair) -> Transformer:
    """The model before the first step, on the CPU: random, or with the weights of `start_from`."""
    model = build_model(config.model, tokenizers.source.vocab_size, tokenizers.target.vocab_size, config.seed)
    if config.start_from is not None:
        start = parse_start(config.start_from)
        path = RunDirectory(start.run).weights(start.weights)
        load_weights(model, read_checkpoint(path, with_optimizer=False).weights, str(path))
        say(f"starting from the weights of {path}")
    return model


def _freeze(model: nn.Module, patterns: list[str]) -> None:
    names = [name for name, _ in model.named_parameters()]
    idle = [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in names)]
    problems = [
        f"training.freeze: no parameter is called {pattern!r}; names are such as {', '.join(names[:3])}, "
        f"{names[-1]} (`*` stands for anything)"
        for pattern in idle
    ]
    if not problems and all(any(fnmatchcase(name, pattern) for pattern in patterns) for name in names):
        problems.append("training.freeze: nothing is left to train; leave a pattern out")
    if problems:
        raise ConfigError(problems)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(fnmatchcase(name, pattern) for pattern in patterns))
