"""One optimizer step: forward and backward over its batches, without waiting for the device.

The loss is the sum over the target tokens of all batches of the update on all ranks, divided by their number, so that
neither gradient accumulation nor the number of processes changes the result.
"""

import contextlib
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from translator.config import TrainingSettings
from translator.data.batches import Batch
from translator.distributed.world import World
from translator.errors import DeviceError
from translator.runtime.console import warn
from translator.runtime.device import Machine
from translator.runtime.failures import is_out_of_memory
from translator.runtime.products import fast_products
from translator.training.compilation import CompiledForward, compiler_failure
from translator.training.guided_alignment import GuidedHead
from translator.training.loss import Forward, LossSums, batch_loss
from translator.training.loss_chunk import compile_chunk
from translator.training.optimizer import set_learning_rate
from translator.training.state import TrainingState


class UpdateSums(NamedTuple):
    """Sums over the target tokens of an update, still on the device; loss and tokens are of this rank alone."""

    smoothed: Tensor
    nll: Tensor
    gradient_norm: Tensor
    skipped: Tensor
    """1 if the gradient was not finite and the weights were left alone, else 0; the same on all ranks."""
    target_tokens: int
    all_tokens: int
    """Target tokens of all ranks."""
    alignment: Tensor | None = None
    """Cross-entropy of guided alignment over the target tokens that have links; None if there is none."""
    linked_tokens: int = 0
    """Target tokens of this rank that have links."""


class Updater:
    """Applies updates to the model of a training state."""

    def __init__(
        self, state: TrainingState, settings: TrainingSettings, machine: Machine, world: World | None = None
    ) -> None:
        self.state = state
        self.machine = machine
        self.world = world or World()
        self._clip_norm = settings.clip_norm
        self._loss = functools.partial(
            batch_loss, state.model, machine=machine, smoothing=settings.label_smoothing, r_drop=settings.r_drop,
            dtype=machine.dtype,
        )  # fmt: skip
        self._guided = GuidedHead.of(state.model, settings)
        if self._guided is not None:
            self._loss = functools.partial(self._loss, guided=self._guided)
        self._forward: Forward | None = None
        self._has_two_passes = settings.r_drop != 0.0

    def compile(self) -> None:
        """Compile the forward pass from now on, for the shape of the next batch; others are computed as before.

        Sizes of batches must have been tried before: each would be compiled, and after a few of them PyTorch gives up.
        On CUDA, chunks of the loss are compiled too; on the CPU they are faster as they are.
        """
        self._forward = CompiledForward(self.state.model, by_layer=self.world.size > 1)
        if self.machine.device.type == "cuda" and not self._has_two_passes:
            self._loss = functools.partial(self._loss, kernel=compile_chunk())

    @fast_products()
    def __call__(self, batches: Sequence[Batch]) -> UpdateSums:
        """Do one optimizer step on all the batches together, and on those of the other ranks.

        If one rank runs out of memory, all halve their batches and repeat the step.
        """
        state, scaler = self.state, self.state.scaler
        tokens = sum(batch.target_tokens for batch in batches)
        all_tokens = int(self.world.sum([tokens])[0])
        while True:
            sums: list[tuple[Tensor, Tensor, Tensor | None]] = []
            loss: LossSums | None = None
            with self._attempt(
                "out of memory inside a step of sharded processes, which cannot be repeated; lower "
                "training.batch_tokens and raise training.accumulate, then repeat the command"
            ) as attempt:
                for index, batch in enumerate(batches):
                    state.parallel.begin_batch(last=index + 1 == len(batches))
                    loss = self._loss(batch.to(self.machine.device), forward=self._forward)
                    scaler.scale(loss.objective / all_tokens).backward()
                    sums.append((loss.smoothed, loss.nll, loss.alignment))
            # After a backward pass that failed, the loss would keep all activations during the next attempt.
            loss = None
            if attempt.failed:
                self._free_memory()
            state.parallel.sum_gradients()
            if not self.world.sum([attempt.failed])[0]:
                break
            batches = self._halve(batches, attempt.failed)
        smoothed = torch.stack([own for own, _, _ in sums]).sum()
        nll = torch.stack([own for _, own, _ in sums]).sum()
        alignments = [own for _, _, own in sums if own is not None]
        alignment = torch.stack(alignments).sum() if alignments else None
        linked = sum(batch.links.tokens for batch in batches if batch.links is not None)
        norm, skipped = self._apply_gradients()
        return UpdateSums(smoothed, nll, norm, skipped, tokens, all_tokens, alignment, linked)

    @fast_products()
    def rehearse(self, batches: Iterable[Batch]) -> bool:
        """Return whether a step with each of `batches` fits into memory.

        No weight changes, but the optimizer gets a state: call `TrainingState.forget_steps` afterwards.
        """
        optimizer = self.state.optimizer
        with self._attempt(
            "out of memory in a step with the largest batch on one of the sharded processes; lower "
            "training.batch_tokens and raise training.accumulate"
        ) as attempt:
            for batch in batches:
                # Processes that can repeat an update rehearse each by itself; the others must do it together.
                self.state.parallel.begin_batch(last=not self.state.parallel.can_repeat)
                loss = self._loss(batch.to(self.machine.device), forward=self._forward)
                self.state.scaler.scale(loss.objective / batch.target_tokens).backward()
                set_learning_rate(optimizer, 0.0)
                optimizer.found_inf = torch.ones((), device=self.machine.device)  # type: ignore[attr-defined]
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        return not attempt.failed

    def _apply_gradients(self) -> tuple[Tensor, Tensor]:
        """Change the weights by the summed gradients, if these are finite; return their norm and 1 if they are not."""
        state, optimizer, scaler = self.state, self.state.optimizer, self.state.scaler
        scaler.unscale_(optimizer)
        norm = state.parallel.gradient_norm()
        if self._clip_norm:
            parameters = [p for p in state.model.parameters() if p.grad is not None]
            torch.nn.utils.clip_grads_with_norm_(parameters, self._clip_norm, norm)
        skipped = torch.isfinite(norm).logical_not().float()
        if not scaler.is_enabled():
            # The fused kernel itself leaves the weights alone if this is 1: no need to wait for the device.
            optimizer.found_inf = skipped  # type: ignore[attr-defined]
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        return norm, skipped

    def _halve(self, batches: Sequence[Batch], failed_here: bool) -> list[Batch]:
        """Split all batches in two after an attempt that ran out of memory on some rank.

        Raises `DeviceError` if that was on this rank and every batch is a single sentence already.
        """
        self._free_memory()
        largest = max(batch.target_tokens for batch in batches)
        warn(
            f"out of memory in a batch of {largest:,} target tokens; it is done again in halves. If this comes often, "
            "lower training.batch_tokens and raise training.accumulate"
        )
        halves = [half for batch in batches for half in batch.halves()]
        if failed_here and len(halves) == len(batches):
            raise DeviceError(
                f"out of memory with a single sentence pair of {largest:,} target tokens; lower data.max_length, or "
                "take a smaller model (preset)"
            )
        return halves

    def _free_memory(self) -> None:
        """Give up the gradients, which will be computed again."""
        if self._guided is not None:
            self._guided.forget()
        self.state.optimizer.zero_grad(set_to_none=True)
        if self.machine.device.type == "cuda":
            torch.cuda.empty_cache()

    @contextlib.contextmanager
    def _attempt(self, explanation: str) -> Iterator["_Attempt"]:
        """Note whether memory runs out; raise `DeviceError` with `explanation` if the work cannot be repeated."""
        attempt = _Attempt()
        try:
            yield attempt
        except (RuntimeError, MemoryError) as error:
            if (failure := compiler_failure(error)) is not None:
                raise DeviceError(failure) from error
            if not is_out_of_memory(error):
                raise
            if not self.state.parallel.can_repeat:
                raise DeviceError(explanation) from error
            attempt.failed = True


class _Attempt:
    """Work that may run out of memory."""

    failed = False
    """Whether it did."""
