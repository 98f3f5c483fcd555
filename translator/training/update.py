"""One optimizer step: forward and backward over its batches, and nothing that waits for the device.

The loss is the sum over the target tokens of all batches of the update on all ranks, divided by their number, so that
neither gradient accumulation nor the number of processes can be seen in the result.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from translator.attention import Packed
from translator.config import TrainingSettings
from translator.data.batches import Batch
from translator.distributed.world import World
from translator.errors import DeviceError
from translator.model import Transformer
from translator.runtime.console import warn
from translator.runtime.device import Machine
from translator.runtime.failures import is_out_of_memory
from translator.training.loss import smoothed_cross_entropy
from translator.training.optimizer import set_learning_rate
from translator.training.parallel import Parallel, Replicated

Forward = Callable[[Packed, Packed], Tensor]


class UpdateSums(NamedTuple):
    """Sums over the target tokens of an update, still on the device; loss and tokens are of this rank alone."""

    smoothed: Tensor
    nll: Tensor
    gradient_norm: Tensor
    skipped: Tensor
    """1 where the gradient was not finite and the weights were left alone, else 0; the same on all ranks."""
    target_tokens: int
    all_tokens: int
    """Target tokens of all ranks."""


class Updater:
    """Applies updates to a model; `forward` is the model or its compiled form."""

    def __init__(
        self, model: Transformer, optimizer: torch.optim.Optimizer, machine: Machine, settings: TrainingSettings,
        forward: Forward | None = None, world: World | None = None, parallel: Parallel | None = None,
    ) -> None:  # fmt: skip
        self.model = model
        self.optimizer = optimizer
        self.machine = machine
        self.label_smoothing, self.r_drop = settings.label_smoothing, settings.r_drop
        self.clip_norm = settings.clip_norm
        self.forward: Forward = forward or model
        self.world = world or World()
        self.parallel: Parallel = parallel or Replicated(model, self.world, machine.device)
        self.scaler = torch.amp.GradScaler(machine.device.type, enabled=machine.precision == "fp16")

    def __call__(self, batches: Sequence[Batch]) -> UpdateSums:
        """Do one optimizer step on all the batches together, and those of the other ranks."""
        tokens = sum(batch.target_tokens for batch in batches)
        all_tokens = int(self.world.sum([tokens])[0])
        smoothed, nll = self._gradients(batches, all_tokens)
        self.scaler.unscale_(self.optimizer)
        norm = self.parallel.gradient_norm()
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        if self.clip_norm:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.clip_norm, norm)
        skipped = torch.isfinite(norm).logical_not().float()
        if not self.scaler.is_enabled():
            # The fused kernel itself leaves the weights alone where this is 1: no need to ask the device.
            self.optimizer.found_inf = skipped  # type: ignore[attr-defined]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return UpdateSums(smoothed, nll, norm, skipped, tokens, all_tokens)

    def _gradients(self, batches: Sequence[Batch], all_tokens: int) -> tuple[Tensor, Tensor]:
        """Sum the gradients of all ranks; where one of them runs out of memory, all halve their batches and repeat."""
        while True:
            sums, failed = self._try(batches, all_tokens)
            if not self.world.sum([failed])[0]:
                break
            self.optimizer.zero_grad(set_to_none=True)
            if self.machine.device.type == "cuda":
                torch.cuda.empty_cache()
            warn(
                f"out of memory in a batch of {max(batch.target_tokens for batch in batches):,} target tokens; it is "
                "done again in halves. If this comes often, lower training.batch_tokens and raise training.accumulate"
            )
            halves = [half for batch in batches for half in batch.halves()]
            if failed and len(halves) == len(batches):
                raise DeviceError(
                    f"out of memory with a single sentence pair of {max(b.target_tokens for b in batches):,} target "
                    "tokens; lower data.max_length, or take a smaller model (preset)"
                )
            batches = halves
        self.parallel.sum_gradients()
        smoothed, nll = (torch.stack(part).sum() for part in zip(*sums, strict=True))
        return smoothed, nll

    def _try(self, batches: Sequence[Batch], all_tokens: int) -> tuple[list[tuple[Tensor, Tensor]], bool]:
        sums = []

        def passes() -> None:
            for place, batch in enumerate(batches):
                self.parallel.begin_batch(last=place + 1 == len(batches))
                sums.append(self._backward(batch.to(self.machine.device), all_tokens))

        failed = not self._fits(
            passes,
            "out of memory inside a step of sharded processes, which cannot be repeated; lower "
            "training.batch_tokens and raise training.accumulate, then repeat the command",
        )
        return ([], True) if failed else (sums, False)

    def rehearse(self, batches: Iterable[Batch]) -> bool:
        """Tell whether a step with each of `batches` fits into memory; no weight changes, but `forget` what is left."""

        def steps() -> None:
            for batch in batches:
                self.parallel.begin_batch(last=True)
                self._backward(batch.to(self.machine.device), batch.target_tokens)
                set_learning_rate(self.optimizer, 0.0)
                self.optimizer.found_inf = torch.ones((), device=self.machine.device)  # type: ignore[attr-defined]
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)

        return self._fits(
            steps,
            "out of memory in a step with the largest batch on one of the sharded processes; lower "
            "training.batch_tokens and raise training.accumulate",
        )

    def _fits(self, work: Callable[[], None], explanation: str) -> bool:
        """Do `work`; False where memory ran out, or `DeviceError` with `explanation` where it cannot be repeated."""
        try:
            work()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if not self.parallel.can_repeat:
                raise DeviceError(explanation) from error
            return False
        return True

    def forget(self) -> None:
        """Drop gradients and the optimizer's state, as before the first step."""
        self.optimizer.zero_grad(set_to_none=True)
        self.optimizer.state.clear()

    def _backward(self, batch: Batch, tokens: int) -> tuple[Tensor, Tensor]:
        passes = batch.twice() if self.r_drop else batch
        with self.machine.autocast():
            states = self.forward(passes.source, passes.target)
        states = states.unflatten(0, (2, -1)) if self.r_drop else states[None]
        states = states[:, : batch.target_tokens].to(self.machine.dtype)
        loss = smoothed_cross_entropy(states, self.model.output_weight, batch.labels, self.label_smoothing, self.r_drop)
        self.scaler.scale(loss.objective / tokens).backward()
        return loss.smoothed, loss.nll
