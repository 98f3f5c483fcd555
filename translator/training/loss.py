"""The loss of a batch: label-smoothed cross-entropy, fused with the output projection and computed in chunks.

Logits of a whole batch would be by far the largest tensor of training. Here they exist for a few hundred
tokens at a time, small enough for the cache, and their gradient is finished before the next chunk begins.

With p = softmax(W h), label y, smoothing s, the gradient by the logits is p - (1 - s) onehot(y) - s / V. The first two
terms are the `error` of a chunk; the last one is the same for all tokens and is added at the end.

Legend: `P` passes (1, or 2 for R-Drop), `T` target tokens, `V` vocabulary, `C` tokens of a chunk.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from translator.attention import Packed
from translator.data.batches import Batch
from translator.model import Transformer
from translator.runtime.device import Machine

_LOG2_E = math.log2(math.e)
# Of a token whose sum of powers is between this and its inverse, none overflows, and the largest is far from zero.
_LEAST_TOTAL = 2.0**-80

Forward = Callable[[Packed, Packed], Tensor]
"""A `Transformer` or its compiled form: from source and shifted target to decoder states `[T, d_model]`."""


class LossSums(NamedTuple):
    """Sums over the target tokens of a batch, in nats; divide by the tokens of the whole update."""

    objective: Tensor
    """What training minimises, and the only one of the three with a gradient."""
    smoothed: Tensor
    """Label-smoothed cross-entropy, averaged over the passes; without R-Drop it is the objective."""
    nll: Tensor
    """Negative log-likelihood of the labels, without smoothing."""


def batch_loss(
    model: Transformer, batch: Batch, machine: Machine, *,
    smoothing: float, r_drop: float = 0.0, dtype: torch.dtype = torch.float32, forward: Forward | None = None,
) -> LossSums:  # fmt: skip
    """Sum the loss over the target tokens of `batch`, which is on the device of `machine`, by teacher forcing.

    `forward` is the compiled form of `model`, if there is one. It computes in the precision of `machine`, the output
    projection in `dtype`. With `r_drop`, every sentence passes through the model twice.
    """
    inputs = batch.twice() if r_drop else batch
    with machine.autocast():
        # Not `forward or model`: a compiled module has no truth value.
        states = (model if forward is None else forward)(inputs.source, inputs.target)
    states = states.unflatten(0, (2, -1)) if r_drop else states[None]  # [P, T + filler, d_model]
    states = states[:, : batch.target_tokens].to(dtype)
    # Sharded weights are gathered by the forward pass, so the output weight is read after it.
    weight: Tensor = model.output_weight
    if model.output_bias is not None:
        states, weight = _with_bias(states, weight, model.output_bias)
    return smoothed_cross_entropy(states, weight, batch.labels, smoothing, r_drop)


def smoothed_cross_entropy(
    states: Tensor, weight: Tensor, labels: Tensor, smoothing: float, r_drop: float = 0.0
) -> LossSums:
    """Sum the loss of `states` `[T, d_model]` against `labels` int64 `[T]` through `weight` `[V, d_model]`.

    For every token, (1 - s) * nll + s * mean over the vocabulary of -log p: what
    `torch.nn.functional.cross_entropy(..., label_smoothing=s, reduction="sum")` computes.

    With `states` `[2, T, d_model]` of two passes with different dropout, `r_drop` adds alpha / 4 * (KL(p || q) +
    KL(q || p)) of their distributions: half the objective of Liang et al. 2021, since theirs adds up the cross-entropy
    of both passes where ours takes the mean.
    """
    passes = states if states.dim() == 3 else states[None]
    sums = _ProjectedCrossEntropy.apply(passes, weight, labels, smoothing, r_drop)  # type: ignore[no-untyped-call]
    return LossSums(*sums)


def _with_bias(states: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """`states` `[..., d_model + 8]` and `weight` `[V, d_model + 8]`: a bias is the weight of a state that is always 1.

    Eight columns instead of one keep the rows aligned for matrix products.
    """
    one = functional.one_hot(states.new_zeros(states.shape[:-1], dtype=torch.int64), 8)
    column = functional.pad(bias[:, None], (0, 7))
    return torch.cat([states, one.to(states.dtype)], -1), torch.cat([weight, column], -1)


class _Chunk(NamedTuple):
    """What the loss needs of a chunk: all of it fp32 but for `error`, which has the dtype of the states."""

    logsumexp: Tensor
    """Log of the sum of the exponentials of the logits, `[P * C]`."""
    label_logit: Tensor
    """`[P * C]`."""
    error: Tensor
    """p - (1 - s) onehot(y), times `total` where there is one, `[P * C, V]`."""
    total: Tensor | None = None
    """What `error` is to be divided by, `[P * C, 1]`."""
    divergence: Tensor | float = 0.0
    """KL(p || q) + KL(q || p), summed over the tokens."""


def _chunk_of_softmax(chunk: Tensor, matrix: Tensor, label: Tensor, smoothing: float, r_drop: float) -> _Chunk:
    """Compute a chunk by the formula: `chunk` `[P * C, d_model]`, `matrix` `[V, d_model]`, `label` `[P * C, 1]`."""
    logits = chunk @ matrix.t()  # [P * C, V]
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
    return _Chunk(logsumexp, label_logit, probabilities.to(chunk.dtype), divergence=divergence)


def _chunk_in_place(chunk: Tensor, matrix: Tensor, label: Tensor, smoothing: float) -> _Chunk:
    """Compute the same with two passes over the logits instead of seven, for CPUs: `matrix` is W * log2(e).

    The logits, in powers of two, become 2^logit in place. Nobody divides them by their sums: whoever multiplies by the
    error does, in a row of d_model instead of V numbers. The maximum is subtracted only where a sum tells that the
    powers of a token came near the ends of the exponent's range.
    """
    labels = torch.arange(len(chunk)), label.squeeze(1)  # scatter_ copies all of a bf16 tensor, twice
    logits = chunk @ matrix.t()
    label_logit = logits[labels].float()
    powers = logits.exp2_()
    total = _row_sums(powers)
    top = torch.zeros_like(total)
    if not (total.min() > _LEAST_TOTAL and total.max() < 1.0 / _LEAST_TOTAL):
        logits = chunk @ matrix.t()
        top = logits.amax(1)
        powers = logits.sub_(top[:, None]).exp2_()
        total = _row_sums(powers)
    powers[labels] = ((label_logit - top).exp2_() - (1.0 - smoothing) * total).to(powers.dtype)
    return _Chunk((total.log2() + top) / _LOG2_E, label_logit / _LOG2_E, powers, total[:, None])


def _row_sums(powers: Tensor) -> Tensor:
    """Sum rows in fp32: `sum` with another dtype would copy all of a bf16 tensor first."""
    parts = [part.sum(1) for part in powers.split(1024, 1)]
    return torch.stack(parts).sum(0, dtype=torch.float32)


class _ProjectedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, labels: Tensor, smoothing: float, r_drop: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        passes, vocabulary = len(states), len(weight)
        in_place = states.device.type == "cpu" and not (r_drop and passes == 2)
        matrix = (weight * _LOG2_E if in_place else weight).to(states.dtype)
        # mean(logits) = states . mean(weight): the smoothing needs no pass over the vocabulary.
        mean_weight = weight.float().mean(0)
        grad_states = torch.empty_like(states) if ctx.needs_input_grad[0] else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        nll, entropy, divergence = states.new_zeros((3,), dtype=torch.float32).unbind()
        size = max(_chunk_tokens(vocabulary, states.device) // passes, 1)
        for begin in range(0, len(labels), size):
            rows = slice(begin, begin + size)
            chunk = states[:, rows].flatten(0, 1)  # [P * C, d_model]
            label = labels[rows].repeat(passes)[:, None]
            if in_place:
                part = _chunk_in_place(chunk, matrix, label, smoothing)
            else:
                part = _chunk_of_softmax(chunk, matrix, label, smoothing, r_drop if passes == 2 else 0.0)
            nll += (part.logsumexp - part.label_logit).sum()
            entropy += (part.logsumexp - chunk.float() @ mean_weight).sum()
            divergence += part.divergence
            if grad_states is not None:
                gradient = part.error @ matrix
                if part.total is not None:
                    gradient = gradient.float().div_(_LOG2_E * part.total)
                grad_states[:, rows] = gradient.unflatten(0, (passes, -1))
            if grad_weight is not None:
                if part.total is not None:
                    chunk = (chunk.float() / part.total).to(chunk.dtype)
                _accumulate(grad_weight, part.error, chunk)
        if grad_states is not None:
            grad_states -= (smoothing * mean_weight).to(states.dtype)
        if grad_weight is not None:
            grad_weight -= (smoothing / vocabulary) * states.sum((0, 1), dtype=torch.float32)
        ctx.save_for_backward(grad_states, grad_weight)
        ctx.passes = passes
        smoothed = ((1.0 - smoothing) * nll + smoothing * entropy) / passes
        objective, nll = smoothed + (0.25 * r_drop) * divergence, nll / passes
        ctx.mark_non_differentiable(smoothed, nll)
        return objective, smoothed, nll

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        grad_states, grad_weight = ctx.saved_tensors
        gradient = gradient / ctx.passes
        by_states = grad_states * gradient.to(grad_states.dtype) if grad_states is not None else None
        by_weight = grad_weight.mul_(gradient) if grad_weight is not None else None
        return by_states, by_weight, None, None, None


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


def _accumulate(total: Tensor, error: Tensor, chunk: Tensor) -> None:
    """Add error^T chunk to `total`, whose dtype may be wider."""
    if total.dtype == error.dtype:
        total.addmm_(error.t(), chunk)
    else:
        total += error.t() @ chunk


def _chunk_tokens(vocabulary: int, device: torch.device) -> int:
    """Choose how many rows of logits to compute at once: few enough for a CPU's cache, enough to keep a GPU busy."""
    return max(64, (3 << 20 if device.type == "cpu" else 1 << 28) // vocabulary)
