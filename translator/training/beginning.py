"""The parts of a training as they are before its first step: model, optimizer, moving average, updates."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import nn

from translator.checkpoints import RunDirectory, load_weights, read_checkpoint
from translator.config import Config, parse_start
from translator.errors import ConfigError
from translator.model import Transformer, build_model, count_parameters
from translator.runtime.console import say
from translator.runtime.device import Machine
from translator.runtime.world import World
from translator.text import TokenizerPair
from translator.training.moving_average import MovingAverage
from translator.training.optimizer import make_optimizer
from translator.training.parallel import share_model
from translator.training.state import TrainingState
from translator.training.update import Forward, Updater


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
