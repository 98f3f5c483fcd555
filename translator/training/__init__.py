"""Training: loss, schedule, optimizer, validation, and the loop that ends in a run directory."""

from translator.training.train import TrainingResult, train

__all__ = ["TrainingResult", "train"]
