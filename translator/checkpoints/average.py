"""The mean of several checkpoints' weights, which generalises better than each of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from translator.checkpoints.checkpoint import Checkpoint, read_checkpoint
from translator.checkpoints.identity import IDENTITY
from translator.checkpoints.merit import best_first
from translator.checkpoints.run_directory import RunDirectory
from translator.errors import CheckpointError


def best_steps(run: RunDirectory, metric: str) -> list[int]:
    """Steps of the checkpoints that exist and were validated, best by `metric` (see `best_first`) first."""
    steps = run.steps()
    if not steps:
        return []
    history = read_checkpoint(run.checkpoint(steps[-1]), with_optimizer=False).state.get("history", [])
    return [step for step in steps_by_merit(history, metric) if step in steps]


def steps_by_merit(history: Sequence[Mapping[str, Any]], metric: str) -> list[int]:
    """Steps of the validations in `history` that have the `metric`, best first; of equals, the earlier."""
    return [int(entry["step"]) for entry in best_first([entry for entry in history if metric in entry], metric)]


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
