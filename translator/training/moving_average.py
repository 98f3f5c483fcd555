"""An exponential moving average of the weights, which translates better than the weights of any one step."""

import torch
from torch import Tensor, nn


class MovingAverage:
    """average <- d * average + (1 - d) * weights after every step, in fp32 next to the model.

    The decay d of step n is min(decay, (1 + n) / (10 + n)), so that the first steps lose their weight soon.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.parameters = dict(model.named_parameters())
        self.values = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Include the weights after optimizer step `step`, counted from 1."""
        decay = min(self.decay, (1.0 + step) / (10.0 + step))
        torch._foreach_lerp_(list(self.values.values()), list(self.parameters.values()), 1.0 - decay)

    def load(self, values: dict[str, Tensor]) -> None:
        """Restore an average that was saved."""
        for name, value in self.values.items():
            value.copy_(values[name])
