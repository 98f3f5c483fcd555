"""Checkpoints on disk: safetensors and JSON, with checksums; nothing is ever unpickled."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from translator.errors import CheckpointError
from translator.runtime.files import new_directory

WEIGHTS = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """What was saved: weights by parameter name, the optimizer's tensors (empty in a finished model), and
    whatever numbers the trainer wanted back."""

    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    state: dict[str, Any]


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The model's weights by name; a matrix that several modules share stands once."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def load_weights(model: nn.Module, weights: dict[str, Tensor], where: str) -> None:
    """Copy `weights` into `model`; raise `CheckpointError` naming what is missing, unknown or misshapen."""
    parameters = dict(model.named_parameters())
    problems = [f"{name} is missing" for name in parameters.keys() - weights.keys()]
    problems += [f"{name} is unknown" for name in weights.keys() - parameters.keys()]
    problems += [
        f"{name} has shape {tuple(weights[name].shape)}, expected {tuple(parameters[name].shape)}"
        for name in parameters.keys() & weights.keys()
        if weights[name].shape != parameters[name].shape
    ]
    if problems:
        shown = "; ".join(sorted(problems)[:3])
        raise CheckpointError(f"{where} does not fit the settings of its run: {shown}")
    for name, parameter in parameters.items():
        parameter.data.copy_(weights[name])


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint directory that is complete if it exists."""
    with new_directory(path) as partial:
        _save(checkpoint.weights, partial / WEIGHTS)
        if checkpoint.optimizer:
            _save(checkpoint.optimizer, partial / OPTIMIZER)
        checksums = {file.name: _checksum(file) for file in sorted(partial.iterdir())}
        text = json.dumps({**checkpoint.state, "sha256": checksums}, indent=1)
        (partial / STATE).write_text(text + "\n")


def read_checkpoint(path: Path, with_optimizer: bool = True) -> Checkpoint:
    """Read a checkpoint directory; raise `CheckpointError` naming a file that is missing or damaged."""
    try:
        state = json.loads((path / STATE).read_text())
        checksums = state.pop("sha256")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{path / STATE} is missing or damaged ({error}); use another checkpoint") from None
    weights = _read(path / WEIGHTS, checksums)
    optimizer = _read(path / OPTIMIZER, checksums) if with_optimizer and OPTIMIZER in checksums else {}
    return Checkpoint(weights, optimizer, state)


def _save(tensors: dict[str, Tensor], file: Path) -> None:
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, file)
    # safetensors makes files that only their owner can read; a run is there to be shared.
    file.chmod(0o644)


def _read(file: Path, checksums: dict[str, str]) -> dict[str, Tensor]:
    try:
        found = _checksum(file)
        if found != checksums.get(file.name):
            raise CheckpointError(f"{file} is damaged: its checksum is not the one in {STATE}; use another checkpoint")
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file} cannot be read ({error}); use another checkpoint") from None


def _checksum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
