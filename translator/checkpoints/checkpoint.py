"""Checkpoints on disk: safetensors and JSON, with checksums; nothing is ever unpickled."""

import contextlib
import errno
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from translator.checkpoints.disk import explained_disk_errors
from translator.checkpoints.run_directory import RunDirectory
from translator.errors import CheckpointError, DamagedCheckpointError
from translator.runtime.directories import new_directory
from translator.runtime.json_files import parse_json

WEIGHTS = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"

_STATE_BYTES = 1 << 26
_STATE_SHAPE = {
    "sha256": {str: str},
    "step": int,
    **{f"{name}?": int for name in ("epoch", "position", "epoch_batches", "section", "target_tokens")},
    **{f"{name}?": int for name in ("rollbacks", "ended_at")},
    **{f"{name}?": int for name in ("skipped", "skipped_in_a_row")},
    **{f"{name}?": float for name in ("seconds", "rate_scale", "bleu", "chrf", "loss")},
    "history?": [{"step": int, "loss?": float, "bleu?": float, "chrf?": float, "tokenizer?": str}],
    "average_of?": [str],
    "from?": [str],
    "signature?": str,
    "scaler?": (None, {str: float}),
    "identity?": {"vocabulary": [str], "settings": {str: object}},
    "began_with?": {
        "corpora": {str: str},
        "pairs": str,
        "start_from?": (None, {"weights": str, "vocabulary": [str]}),
    },
}


Shapes = Mapping[str, tuple[int, ...]]
"""The shapes of tensors by name."""


@dataclass(frozen=True)
class Checkpoint:
    """What was saved: weights by parameter name, the optimizer's tensors (empty in a finished model), and the numbers
    that the trainer needs to continue."""

    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    state: dict[str, Any]


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return the model's weights by name; a matrix that several modules share appears once."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def load_weights(model: nn.Module, weights: dict[str, Tensor], where: str) -> None:
    """Copy `weights` into `model`; raise `CheckpointError` naming what is missing, unknown or misshapen."""
    parameters = dict(model.named_parameters())
    check_shapes(
        {name: tuple(weight.shape) for name, weight in weights.items()},
        {name: tuple(parameter.shape) for name, parameter in parameters.items()},
        where,
    )
    for name, parameter in parameters.items():
        parameter.data.copy_(weights[name])


def check_shapes(found: Shapes, expected: Shapes, where: str) -> None:
    """Raise `CheckpointError` naming weights that are missing, unknown or of another shape than expected."""
    problems = [f"{name} is missing" for name in expected.keys() - found.keys()]
    problems += [f"{name} is unknown" for name in found.keys() - expected.keys()]
    problems += [
        f"{name} has shape {found[name]}, expected {expected[name]}"
        for name in expected.keys() & found.keys()
        if found[name] != expected[name]
    ]
    if problems:
        shown = "; ".join(sorted(problems)[:3])
        raise CheckpointError(f"{where} does not fit the settings of its run: {shown}")


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint or model directory of a run; if it exists afterwards, it is complete.

    Raises a `CheckpointError` that says why if the disk is full or refuses, and leaves nothing half-written, and
    `OutputError` if what is there holds other files than those of a checkpoint.
    """
    run = RunDirectory(path.parent.parent)
    size = sum(tensor.nbytes for tensor in (*checkpoint.weights.values(), *checkpoint.optimizer.values()))
    with explained_disk_errors(run, path, size), new_directory(path, files_of_checkpoint) as partial:
        _save(checkpoint.weights, partial / WEIGHTS)
        if checkpoint.optimizer:
            _save(checkpoint.optimizer, partial / OPTIMIZER)
        checksums = {file.name: _checksum(file) for file in sorted(partial.iterdir())}
        checksums[STATE] = _checksum_of_state(checkpoint.state, checksums)
        text = json.dumps({**checkpoint.state, "sha256": checksums}, indent=1)
        (partial / STATE).write_text(text + "\n")


def files_of_checkpoint(path: Path) -> set[str]:
    """Return the names of the files of a checkpoint directory; none of a directory that is not one."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        state = json.loads((path / STATE).read_bytes())
        if not isinstance(state, dict) or "sha256" not in state:
            return set()
    # The names are few and fixed, so that a checkpoint with a damaged state is known, too.
    return {STATE, WEIGHTS, OPTIMIZER} if (path / STATE).is_file() else set()


def read_checkpoint(path: Path, with_optimizer: bool = True) -> Checkpoint:
    """Read a checkpoint directory; raise `DamagedCheckpointError` naming a file that is missing or damaged."""
    state, checksums = read_state(path)
    weights = _read(path / WEIGHTS, checksums)
    optimizer = _read(path / OPTIMIZER, checksums) if with_optimizer and OPTIMIZER in checksums else {}
    return Checkpoint(weights, optimizer, state)


def verify_checkpoint(path: Path) -> None:
    """Raise `DamagedCheckpointError` if `read_checkpoint` would, without loading the tensors."""
    _, checksums = read_state(path)
    for name in checksums:
        _verify(path / name, checksums)


def read_state(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the state of a checkpoint directory, which has no tensors, and the checksums of its files by name.

    Raises `DamagedCheckpointError` if the state is missing or damaged.
    """
    file = path / STATE
    with _damage_named(file):
        try:
            with file.open("rb") as stream:
                state = parse_json(stream.read(_STATE_BYTES), _STATE_SHAPE)
        except ValueError as error:
            raise DamagedCheckpointError(f"{file} is damaged ({error})") from None
    checksums = state.pop("sha256")
    # Older checkpoints have no checksum of the state.
    intact = checksums.pop(STATE, None) in (None, _checksum_of_state(state, checksums))
    if not intact or not {WEIGHTS} <= checksums.keys() <= {WEIGHTS, OPTIMIZER}:
        raise DamagedCheckpointError(f"{file} is damaged: it does not match its checksum")
    return state, checksums


def _save(tensors: dict[str, Tensor], file: Path) -> None:
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, file)
    # safetensors makes files that only their owner can read; a run is there to be shared.
    file.chmod(0o644)


def _read(file: Path, checksums: dict[str, str]) -> dict[str, Tensor]:
    _verify(file, checksums)
    with _damage_named(file):
        try:
            _check_types(file)
            return load_file(file)
        except SafetensorError as error:
            raise DamagedCheckpointError(f"{file} is damaged ({error})") from None


def _check_types(file: Path) -> None:
    """Raise `DamagedCheckpointError` for numbers of another type than we save, which would be converted silently."""
    with safe_open(file, framework="pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118  (it is no dict)
            found = tensors.get_slice(name).get_dtype()
            if found != "F32":
                raise DamagedCheckpointError(f"{file} is damaged: {name} holds numbers of type {found}, expected F32")


def saved_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the weights in a checkpoint directory by name; only their table is read.

    Raises `DamagedCheckpointError` if the file is missing or has no such table.
    """
    file = path / WEIGHTS
    with _damage_named(file):
        try:
            with safe_open(file, framework="pt") as tensors:
                return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise DamagedCheckpointError(f"{file} is damaged ({error})") from None


def _verify(file: Path, checksums: dict[str, str]) -> None:
    with _damage_named(file):
        found = _checksum(file)
    if found != checksums[file.name]:
        raise DamagedCheckpointError(f"{file} is damaged: its checksum is not the one in {STATE}")


@contextlib.contextmanager
def _damage_named(file: Path) -> Iterator[None]:
    """Tell a file that is gone or unreadable on the disk, which is damage, from one that we are not allowed to read."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EIO):
            raise DamagedCheckpointError(f"{file} is missing or damaged ({reason})") from None
        raise CheckpointError(f"{file} cannot be read: {reason}; fix that first; nothing is lost") from None


def _checksum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _checksum_of_state(state: dict[str, Any], checksums: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps([state, checksums]).encode()).hexdigest()
