"""What a run directory holds of its model: checkpoints, finished models, averages, and loading them."""

from translator.checkpoints.average import average_checkpoints
from translator.checkpoints.bundle import Bundle, load_bundle
from translator.checkpoints.run import RunDirectory
from translator.checkpoints.store import (
    Checkpoint,
    load_weights,
    model_tensors,
    read_checkpoint,
    write_checkpoint,
)

__all__ = [
    "Bundle",
    "Checkpoint",
    "RunDirectory",
    "average_checkpoints",
    "load_bundle",
    "load_weights",
    "model_tensors",
    "read_checkpoint",
    "write_checkpoint",
]
