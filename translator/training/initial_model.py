"""The model before its first training step: random, or with the weights of another run; and what of it is trained."""

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from translator.checkpoints import Base, check_shapes, load_weights, read_checkpoint, saved_shapes
from translator.config import ModelSettings
from translator.errors import ConfigError
from translator.model import Transformer, build_model, parameter_shapes
from translator.runtime.console import say
from translator.runtime.host_memory import check_host_memory
from translator.text import TokenizerPair, require_shared_ids


def initial_model(
    settings: ModelSettings, tokenizers: TokenizerPair, seed: int, start_from: str | None = None
) -> Transformer:
    """Build the model on the CPU, random by `seed` or with the weights that `start_from` names.

    Raises `CheckpointError` if the run to start from has no such weights.
    """
    require_shared_ids(settings, tokenizers)
    if start_from is not None:
        path = Base.read(start_from).path
        # Before anything is allocated: a received run may state any size.
        check_shapes(saved_shapes(path), parameter_shapes(settings, *tokenizers.sizes), str(path))
    model = build_model(settings, *tokenizers.sizes, seed, tokenizers.target.zero_start)
    if start_from is not None:
        load_weights(model, read_checkpoint(path, with_optimizer=False).weights, str(path))
        say(f"starting from the weights of {path}")
    return model


def require_training_memory(settings: ModelSettings, tokenizers: TokenizerPair, moving_average: bool) -> None:
    """Raise `DeviceError`, before anything is allocated, if the host cannot hold what training keeps of a model.

    That is weights, gradients, Adam's two moments and, if there is one, the moving average, in fp32.
    """
    shapes = parameter_shapes(settings, *tokenizers.sizes)
    needed = sum(map(math.prod, shapes.values())) * (4 + moving_average) * 4
    check_host_memory(needed, "weights, gradients and optimizer")


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Exclude the parameters whose names match one of `patterns` from training.

    Raises `ConfigError` if a pattern matches no parameter, or if nothing is left to train.
    """
    names = [name for name, _ in model.named_parameters()]
    unmatched = [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in names)]
    problems = [
        f"training.freeze: no parameter is called {pattern!r}; names are such as {', '.join(names[:3])}, "
        f"{names[-1]} (`*` stands for anything)"
        for pattern in unmatched
    ]
    if not problems and all(any(fnmatchcase(name, pattern) for pattern in patterns) for name in names):
        problems.append("training.freeze: nothing is left to train; leave a pattern out")
    if problems:
        raise ConfigError(problems)
    for name, parameter in model.named_parameters():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            parameter.requires_grad_(False)
