"""The loss of one chunk of tokens: from their logits to what the loss and its gradients need, in one of three ways.

With p = softmax(W h), label y and smoothing s, the `error` of a chunk is p - (1 - s) onehot(y).

Legend: `P` passes (1, or 2 for R-Drop), `C` tokens of a chunk, `V` vocabulary.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

_LOG2_E = math.log2(math.e)
# Of a token whose sum of powers is between this and its inverse, none overflows, and the largest is far from zero.
_LEAST_TOTAL = 2.0**-80


class Chunk(NamedTuple):
    """What the loss needs of a chunk: all of it fp32 but for `error`, which has the dtype of the states."""

    logsumexp: Tensor
    """Log of the sum of the exponentials of the logits, `[P * C]`."""
    label_logit: Tensor
    """`[P * C]`."""
    error: Tensor
    """p - (1 - s) onehot(y), times `total` if there is one, `[P * C, V]`."""
    total: Tensor | None = None
    """What `error` is to be divided by, `[P * C, 1]`."""
    divergence: Tensor | float = 0.0
    """KL(p || q) + KL(q || p), summed over the tokens."""


class ChunkKernel(NamedTuple):
    """A way to compute chunks."""

    compute: Callable[[Tensor, Tensor, Tensor, float], Chunk]
    """From states `[P * C, d_model]`, the matrix `[V, d_model]`, labels `[P * C, 1]` and the label smoothing."""
    scale: float = 1.0
    """The matrix is the output weight times this."""


def choose_chunk(device: torch.device, r_drop: float = 0.0) -> ChunkKernel:
    """Choose the kernel for a device, if none was compiled; `r_drop` is not 0 if the passes are to be compared."""
    if r_drop:
        return ChunkKernel(functools.partial(chunk_of_softmax, r_drop=r_drop))
    return ChunkKernel(chunk_in_place, _LOG2_E) if device.type == "cpu" else ChunkKernel(chunk_of_softmax)


def compile_chunk() -> ChunkKernel:
    """Make the kernel that is compiled by `torch.compile`, for chunks of any number of tokens, without R-Drop."""
    fused = torch.compile(_chunk_to_fuse)

    def compute(states: Tensor, matrix: Tensor, label: Tensor, smoothing: float) -> Chunk:
        if len(states) < 2:
            # A size of 1 is never compiled as one of many.
            return chunk_of_softmax(states, matrix, label, smoothing)
        # The last chunk of a batch is smaller than the others, and another size in every batch.
        torch._dynamo.mark_dynamic(states, 0)
        torch._dynamo.mark_dynamic(label, 0)
        return Chunk(*fused(states, matrix, label, smoothing))

    return ChunkKernel(compute)


def chunk_of_softmax(states: Tensor, matrix: Tensor, label: Tensor, smoothing: float, r_drop: float = 0.0) -> Chunk:
    """Compute a chunk by the formula, operator by operator: about 21 bytes are read and written for each logit."""
    logits = states @ matrix.t()  # [P * C, V]
    probabilities = torch.softmax(logits, 1, dtype=torch.float32)
    top, log_top = logits.amax(1), probabilities.amax(1).log_()
    logsumexp = top.float() - log_top
    label_logit = logits.gather(1, label).squeeze(1).float()
    divergence: Tensor | float = 0.0
    pull = None
    if r_drop:
        divergence, pull = _symmetric_divergence(logits, logsumexp, probabilities)
    probabilities.scatter_add_(1, label, torch.full_like(label, smoothing - 1.0, dtype=torch.float32))
    if pull is not None:
        probabilities.add_(pull, alpha=0.5 * r_drop)
    return Chunk(logsumexp, label_logit, probabilities.to(states.dtype), divergence=divergence)


def _chunk_to_fuse(states: Tensor, matrix: Tensor, label: Tensor, smoothing: float) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the same as `chunk_of_softmax`, without R-Drop, in a form that a compiler can fuse into two loops.

    One loop reads the logits for the sums, the other one reads them and writes the errors: at best 6 bytes for each
    logit in half precision, besides the products. Labels are compared with the column, because a scatter would need all
    errors in fp32 first.
    """
    logits = states @ matrix.t()  # [C, V]
    wide = logits.float()
    top = wide.amax(1, keepdim=True)
    logsumexp = top + (wide - top).exp().sum(1, keepdim=True).log()
    label_logit = logits.gather(1, label).squeeze(1).float()
    columns = torch.arange(len(matrix), device=states.device)
    error = (wide - logsumexp).exp() - torch.where(columns == label, 1.0 - smoothing, 0.0)
    return logsumexp.squeeze(1), label_logit, error.to(states.dtype)


def chunk_in_place(states: Tensor, matrix: Tensor, label: Tensor, smoothing: float) -> Chunk:
    """Compute the same with two passes over the logits instead of seven, for CPUs: `matrix` is W * log2(e).

    The logits, in powers of two, become 2^logit in place. Nobody divides them by their sums: whoever multiplies by the
    error does, in a row of d_model instead of V numbers. The maximum is subtracted only where a sum tells that the
    powers of a token came near the ends of the exponent's range.
    """
    labels = torch.arange(len(states)), label.squeeze(1)  # scatter_ copies all of a bf16 tensor, twice
    logits = states @ matrix.t()
    label_logit = logits[labels].float()
    powers = logits.exp2_()
    total = _row_sums(powers)
    top = torch.zeros_like(total)
    if not (total.min() > _LEAST_TOTAL and total.max() < 1.0 / _LEAST_TOTAL):
        logits = states @ matrix.t()
        top = logits.amax(1)
        powers = logits.sub_(top[:, None]).exp2_()
        total = _row_sums(powers)
    powers[labels] = ((label_logit - top).exp2_() - (1.0 - smoothing) * total).to(powers.dtype)
    return Chunk((total.log2() + top) / _LOG2_E, label_logit / _LOG2_E, powers, total[:, None])


def _row_sums(powers: Tensor) -> Tensor:
    """Sum rows in fp32: `sum` with another dtype would copy all of a bf16 tensor first."""
    parts = [part.sum(1) for part in powers.split(1024, 1)]
    return torch.stack(parts).sum(0, dtype=torch.float32)


def _symmetric_divergence(logits: Tensor, logsumexp: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """KL(p || q) + KL(q || p), summed over the tokens of `logits` `[2 * C, V]`, and the gradient by `logits`."""
    p, q = probabilities.chunk(2)
    log_ratio = logits.float().sub_(logsumexp[:, None])
    log_ratio = log_ratio[: len(p)] - log_ratio[len(p) :]  # log p - log q, [C, V]
    forward = (p * log_ratio).sum(1, keepdim=True)  # KL(p || q)
    backward = -(q * log_ratio).sum(1, keepdim=True)  # KL(q || p)
    difference = p - q
    gradient = torch.cat([p * (log_ratio - forward) + difference, q * (-log_ratio - backward) - difference])
    return (forward + backward).sum(), gradient
