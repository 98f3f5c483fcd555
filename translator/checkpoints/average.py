"""The mean of several checkpoints' weights, which generalises better than any one of them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from translator.checkpoints.store import Checkpoint, read_checkpoint
from translator.errors import CheckpointError


def average_checkpoints(paths: Sequence[Path]) -> Checkpoint:
    """Average the weights of checkpoints of one run, in double precision; raise `CheckpointError`."""
    if not paths:
        raise CheckpointError("there are no checkpoints to average; train first")
    sums: dict[str, Tensor] = {}
    state = {}
    for path in paths:
        checkpoint = read_checkpoint(path, with_optimizer=False)
        state = checkpoint.state
        if sums and sums.keys() != checkpoint.weights.keys():
            raise CheckpointError(f"{path} has other weights than {paths[0]}; average checkpoints of one run")
        for name, weight in checkpoint.weights.items():
            sums[name] = sums.get(name, torch.zeros((), dtype=torch.float64)) + weight.double()
    means = {name: (total / len(paths)).float() for name, total in sums.items()}
    return Checkpoint(means, {}, {"step": state["step"], "average_of": [path.name for path in paths]})
