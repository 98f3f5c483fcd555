"""Gradients of a replicated model, summed over the processes while the backward pass still computes others."""

from collections.abc import Iterable, Iterator
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor, nn

# 64 MiB of fp32.
_BUCKET_NUMBERS = 1 << 24


class GradientSums:
    """Sums gradients in a few large buckets, each as soon as its gradients are complete.

    All processes sum the same buckets in the same order, whatever becomes of their backward pass: one that failed gives
    zeros for what it does not have, so that nobody waits for it.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        # A backward pass ends with the first parameters.
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        self._buckets = list(buckets(reversed(trained)))
        self._missing: list[int] = []
        self._begun: list[tuple[Tensor, dist.Work]] = []
        for index, bucket in enumerate(self._buckets):
            for parameter in bucket:
                parameter.register_post_accumulate_grad_hook(partial(self._count, index))

    def begin(self) -> None:
        """Sum what the next backward pass completes; call `finish` after it."""
        self._missing = [len(bucket) for bucket in self._buckets]

    @torch.no_grad()
    def finish(self) -> None:
        """Sum what is left, wait for all sums, and store them as the gradients; `begin` need not have been called."""
        while len(self._begun) < len(self._buckets):
            self._send()
        for bucket, (flat, work) in zip(self._buckets, self._begun, strict=True):
            work.wait()
            for parameter in bucket:
                if parameter.grad is None:
                    parameter.grad = torch.empty_like(parameter)
            copy_parts(flat, [parameter.grad for parameter in bucket if parameter.grad is not None])
        self._missing, self._begun = [], []

    @torch.no_grad()
    def _count(self, index: int, parameter: Tensor) -> None:
        """Note that a gradient of a bucket is complete; called by autograd."""
        if not self._missing:
            return
        self._missing[index] -= 1
        while len(self._begun) < len(self._buckets) and not self._missing[len(self._begun)]:
            self._send()

    def _send(self) -> None:
        """Begin to sum the next bucket."""
        bucket = self._buckets[len(self._begun)]
        parts = [torch.zeros_like(each) if each.grad is None else each.grad for each in bucket]
        flat = torch.cat([part.flatten() for part in parts])
        work = dist.all_reduce(flat, async_op=True)
        assert work is not None
        self._begun.append((flat, work))


def buckets(parameters: Iterable[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Group parameters, in order, into buckets of up to about 64 MiB."""
    bucket: list[nn.Parameter] = []
    numbers = 0
    for parameter in parameters:
        if bucket and numbers + parameter.numel() > _BUCKET_NUMBERS:
            yield bucket
            bucket, numbers = [], 0
        bucket.append(parameter)
        numbers += parameter.numel()
    if bucket:
        yield bucket


def copy_parts(flat: Tensor, tensors: list[Tensor]) -> None:
    """Copy the parts of a flat tensor into the tensors that it was joined from."""
    parts = flat.split([tensor.numel() for tensor in tensors])
    torch._foreach_copy_(tensors, [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)])
