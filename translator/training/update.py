"""One optimizer step: forward and backward over its batches, then Adam, with nothing that waits for the device.

The loss is the sum over the target tokens of all batches of the update, divided by their number, so that gradient
accumulation is invisible.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from translator.attention import Packed
from translator.data.batches import Batch
from translator.model import Transformer
from translator.runtime.device import Machine
from translator.training.loss import smoothed_cross_entropy

Forward = Callable[[Packed, Packed], Tensor]


class UpdateSums(NamedTuple):
    """Sums over the target tokens of an update, still on the device."""

    smoothed: Tensor
    nll: Tensor
    gradient_norm: Tensor
    skipped: Tensor
    """1 where the gradient was not finite and the weights were left alone, else 0."""
    target_tokens: int


class Updater:
    """Applies updates to a model; `forward` is the model or its compiled form."""

    def __init__(
        self, model: Transformer, optimizer: torch.optim.Optimizer, machine: Machine, label_smoothing: float,
        clip_norm: float, forward: Forward | None = None,
    ) -> None:  # fmt: skip
        self.model = model
        self.optimizer = optimizer
        self.machine = machine
        self.label_smoothing = label_smoothing
        self.clip_norm = clip_norm
        self.forward: Forward = forward or model
        self.scaler = torch.amp.GradScaler(machine.device.type, enabled=machine.precision == "fp16")

    def __call__(self, batches: Sequence[Batch]) -> UpdateSums:
        """Do one optimizer step on all the batches together."""
        tokens = sum(batch.target_tokens for batch in batches)
        sums = [self._backward(batch.to(self.machine.device), tokens) for batch in batches]
        self.scaler.unscale_(self.optimizer)
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if self.clip_norm:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.clip_norm, norm)
        skipped = torch.isfinite(norm).logical_not().float()
        if not self.scaler.is_enabled():
            # The fused kernel itself leaves the weights alone where this is 1: no need to ask the device.
            self.optimizer.found_inf = skipped  # type: ignore[attr-defined]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        smoothed, nll = (torch.stack(part).sum() for part in zip(*sums, strict=True))
        return UpdateSums(smoothed, nll, norm, skipped, tokens)

    def _backward(self, batch: Batch, tokens: int) -> tuple[Tensor, Tensor]:
        with self.machine.autocast():
            states = self.forward(batch.source, batch.target)
        states = states[: batch.target_tokens].to(self.machine.dtype)
        loss = smoothed_cross_entropy(states, self.model.output_weight, batch.labels, self.label_smoothing)
        self.scaler.scale(loss.smoothed / tokens).backward()
        return loss.smoothed.detach(), loss.nll
