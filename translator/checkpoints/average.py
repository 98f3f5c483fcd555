"""The mean of several checkpoints' weights, which generalises better than each of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from translator.checkpoints.checkpoint import Checkpoint, read_checkpoint
from translator.checkpoints.identity import IDENTITY
from translator.errors import CheckpointError


def average_checkpoints(paths: Sequence[Path]) -> Checkpoint:
    """Average the weights of checkpoints of one run, in double precision.

    Raises `CheckpointError` if one is missing or damaged, or does not have the shapes and the identity of the others.
    """
    if not paths:
        raise CheckpointError("there are no checkpoints to average; train first")
    sums: dict[str, Tensor] = {}
    state: dict[str, Any] = {}
    identity: dict[str, Any] = {}
    for path in paths:
        checkpoint = read_checkpoint(path, with_optimizer=False)
        state = checkpoint.state
        own = {name: value for name, value in state.items() if name == IDENTITY}
        if own and identity and own != identity:
            raise CheckpointError(
                f"{path} was trained with another vocabulary, or with other settings of the model, than {paths[0]}; "
                "average checkpoints of one run"
            )
        identity = own or identity
        if sums and {name: total.shape for name, total in sums.items()} != {
            name: weight.shape for name, weight in checkpoint.weights.items()
        }:
            raise CheckpointError(f"{path} has other weights than {paths[0]}; average checkpoints of one run")
        for name, weight in checkpoint.weights.items():
            sums[name] = sums.get(name, torch.zeros((), dtype=torch.float64)) + weight.double()
    means = {name: (total / len(paths)).float() for name, total in sums.items()}
    average_of = [path.name for path in paths]
    return Checkpoint(means, {}, {"step": state["step"], "average_of": average_of, **identity})
