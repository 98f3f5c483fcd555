"""The model before its first training step: random, or with the weights of another run; and what of it is trained."""

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from translator.checkpoints import Base, check_shapes, load_weights, read_checkpoint, saved_shapes
from translator.config import ModelSettings, parse_start
from translator.errors import ConfigError
from translator.model import Transformer, build_model, parameter_shapes
from translator.runtime.console import say
from translator.runtime.counted import counted
from translator.runtime.host_memory import check_host_memory
from translator.text import TokenizerPair, load_tokenizers, require_shared_ids
from translator.training.extended_weights import extended_weights


def initial_model(
    settings: ModelSettings, tokenizers: TokenizerPair, seed: int, start_from: str | None = None
) -> Transformer:
    """Build the model on the CPU, random by `seed` or with the weights that `start_from` names.

    If `tokenizers` have more pieces than those of the run to start from, these get rows of their own
    (`extended_weights`). Raises `CheckpointError` if that run has no such weights.
    """
    require_shared_ids(settings, tokenizers)
    if start_from is None:
        return build_model(settings, *tokenizers.sizes, seed, tokenizers.target.zero_start)
    path, old = Base.read(start_from).path, load_tokenizers(parse_start(start_from).run)
    # Before anything is allocated: a received run may state any size.
    check_shapes(saved_shapes(path), parameter_shapes(settings, *old.sizes), str(path))
    model = build_model(settings, *tokenizers.sizes, seed, tokenizers.target.zero_start)
    weights = read_checkpoint(path, with_optimizer=False).weights
    added = [new - before for new, before in zip(tokenizers.sizes, old.sizes, strict=True)]
    if any(added):
        weights = extended_weights(weights, settings, old, tokenizers)
    load_weights(model, weights, str(path))
    alike = tokenizers.joint or added[0] == added[1]
    pieces = counted(added[0], "new piece") if alike else f"{added[0]:,} and {counted(added[1], 'new piece')}"
    say(f"starting from the weights of {path}{f', with rows for {pieces}' if any(added) else ''}")
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
