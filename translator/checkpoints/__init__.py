"""The models in a run directory: checkpoints, finished models, averages, and loading them."""

from translator.checkpoints.average import average_checkpoints
from translator.checkpoints.bundle import Bundle, load_bundle
from translator.checkpoints.checkpoint import (
    Checkpoint,
    check_shapes,
    files_of_checkpoint,
    load_weights,
    model_tensors,
    read_checkpoint,
    read_state,
    saved_shapes,
    verify_checkpoint,
    write_checkpoint,
)
from translator.checkpoints.disk import explained_disk_errors
from translator.checkpoints.identity import Base, Identity, check_identity, run_identity, vocabulary_of
from translator.checkpoints.merit import best_first, says_nothing
from translator.checkpoints.recovery import read_final, read_newest, set_aside_damaged, warn_of_missing
from translator.checkpoints.run_directory import RunDirectory
from translator.checkpoints.weights import best_steps, find_weights, steps_by_merit

__all__ = [
    "Base",
    "Bundle",
    "Checkpoint",
    "Identity",
    "RunDirectory",
    "average_checkpoints",
    "best_first",
    "best_steps",
    "check_identity",
    "check_shapes",
    "explained_disk_errors",
    "files_of_checkpoint",
    "find_weights",
    "load_bundle",
    "load_weights",
    "model_tensors",
    "read_checkpoint",
    "read_final",
    "read_newest",
    "read_state",
    "run_identity",
    "saved_shapes",
    "says_nothing",
    "set_aside_damaged",
    "steps_by_merit",
    "verify_checkpoint",
    "vocabulary_of",
    "warn_of_missing",
    "write_checkpoint",
]
