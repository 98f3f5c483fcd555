"""The models in a run directory: checkpoints, finished models, averages, and loading them."""

from translator.checkpoints.average import average_checkpoints, best_steps, steps_by_merit
from translator.checkpoints.bundle import Bundle, load_bundle
from translator.checkpoints.checkpoint import (
    Checkpoint,
    check_shapes,
    files_of_checkpoint,
    load_weights,
    model_tensors,
    read_checkpoint,
    saved_shapes,
    write_checkpoint,
)
from translator.checkpoints.disk import explained_disk_errors
from translator.checkpoints.merit import LEAST_BLEU, best_first
from translator.checkpoints.recovery import read_final, read_newest, set_aside_damaged
from translator.checkpoints.run_directory import RunDirectory

__all__ = [
    "LEAST_BLEU",
    "Bundle",
    "Checkpoint",
    "RunDirectory",
    "average_checkpoints",
    "best_first",
    "best_steps",
    "check_shapes",
    "explained_disk_errors",
    "files_of_checkpoint",
    "load_bundle",
    "load_weights",
    "model_tensors",
    "read_checkpoint",
    "read_final",
    "read_newest",
    "saved_shapes",
    "set_aside_damaged",
    "steps_by_merit",
    "write_checkpoint",
]
