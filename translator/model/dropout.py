"""Dropout with masks that are cheap to draw on the CPU."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from translator.runtime.random import dropout_scale


class Dropout(nn.Module):
    """Zero a share of the values in training and scale up the rest."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, values: Tensor) -> Tensor:
        """Drop from `values`, of any shape."""
        if not self.training or self.probability == 0.0:
            return values
        if values.device.type != "cpu":
            return functional.dropout(values, self.probability)
        return values * dropout_scale(values, self.probability)

    def add(self, residual: Tensor, values: Tensor) -> Tensor:
        """Return `residual` plus the dropped `values`, in one pass over memory on the CPU."""
        if not self.training or self.probability == 0.0 or values.device.type != "cpu":
            return residual + self(values)
        return torch.addcmul(residual, values, dropout_scale(values, self.probability))
