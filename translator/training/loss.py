"""The loss of a batch: label-smoothed cross-entropy, fused with the output projection and computed in chunks.

Logits of a whole batch would be by far the largest tensor of training. Here they exist for a few hundred
tokens at a time, small enough for the cache, and their gradient is finished before the next chunk begins.

With p = softmax(W h), label y, smoothing s, the gradient by the logits is p - (1 - s) onehot(y) - s / V. The first two
terms are the `error` of a chunk; the last one is the same for all tokens and is added at the end.

Legend: `P` passes (1, or 2 for R-Drop), `T` target tokens, `V` vocabulary, `C` tokens of a chunk.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from translator.attention import Packed
from translator.data.batches import Batch
from translator.model import Transformer
from translator.runtime.device import Machine
from translator.training.guided_alignment import GuidedHead
from translator.training.loss_chunk import ChunkKernel, choose_chunk

Forward = Callable[[Packed, Packed], Tensor]
"""A `Transformer` or its compiled form: from source and shifted target to decoder states `[T, d_model]`."""


class LossSums(NamedTuple):
    """Sums over the target tokens of a batch, in nats; divide by the tokens of the whole update."""

    objective: Tensor
    """What training minimises, and the only one of them with a gradient."""
    smoothed: Tensor
    """Label-smoothed cross-entropy, averaged over the passes; without R-Drop and guided alignment it is the
    objective."""
    nll: Tensor
    """Negative log-likelihood of the labels, without smoothing."""
    alignment: Tensor | None = None
    """Cross-entropy of guided alignment, without its weight; None if there is none."""


def batch_loss(
    model: Transformer, batch: Batch, machine: Machine, *,
    smoothing: float, r_drop: float = 0.0, dtype: torch.dtype = torch.float32, forward: Forward | None = None,
    kernel: ChunkKernel | None = None, guided: GuidedHead | None = None,
) -> LossSums:  # fmt: skip
    """Sum the loss over the target tokens of `batch`, which is on the device of `machine`, by teacher forcing.

    `forward` is the compiled form of `model`, and `kernel` that of a chunk of the loss, if there are any. The model
    computes in the precision of `machine`, the output projection in `dtype`. With `r_drop`, every sentence passes
    through the model twice. A `guided` head of `model` also learns the word links of the batch.
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
    sums = smoothed_cross_entropy(states, weight, batch.labels, smoothing, r_drop, kernel)
    if guided is None:
        return sums
    alignment = guided.loss(inputs)
    return sums._replace(objective=sums.objective + guided.weight * alignment, alignment=alignment.detach())


def smoothed_cross_entropy(
    states: Tensor, weight: Tensor, labels: Tensor, smoothing: float, r_drop: float = 0.0,
    kernel: ChunkKernel | None = None,
) -> LossSums:  # fmt: skip
    """Sum the loss of `states` `[T, d_model]` against `labels` int64 `[T]` through `weight` `[V, d_model]`.

    For every token, (1 - s) * nll + s * mean over the vocabulary of -log p: what
    `torch.nn.functional.cross_entropy(..., label_smoothing=s, reduction="sum")` computes.

    With `states` `[2, T, d_model]` of two passes with different dropout, `r_drop` adds alpha / 4 * (KL(p || q) +
    KL(q || p)) of their distributions: half the objective of Liang et al. 2021, since theirs adds up the cross-entropy
    of both passes where ours takes the mean.

    `kernel` computes the chunks, in place of the one for the device; one that was compiled knows no R-Drop.
    """
    passes = states if states.dim() == 3 else states[None]
    sums = _ProjectedCrossEntropy.apply(passes, weight, labels, smoothing, r_drop, kernel)  # type: ignore[no-untyped-call]
    return LossSums(*sums)


def _with_bias(states: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """`states` `[..., d_model + 8]` and `weight` `[V, d_model + 8]`: a bias is the weight of a state that is always 1.

    Eight columns instead of one keep the rows aligned for matrix products.
    """
    one = functional.one_hot(states.new_zeros(states.shape[:-1], dtype=torch.int64), 8)
    column = functional.pad(bias[:, None], (0, 7))
    return torch.cat([states, one.to(states.dtype)], -1), torch.cat([weight, column], -1)


class _ProjectedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, labels: Tensor, smoothing: float, r_drop: float,
        kernel: ChunkKernel | None,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        passes, vocabulary = len(states), len(weight)
        kernel = kernel or choose_chunk(states.device, r_drop if passes == 2 else 0.0)
        matrix = (weight if kernel.scale == 1.0 else weight * kernel.scale).to(states.dtype)
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
            part = kernel.compute(chunk, matrix, label, smoothing)
            nll += (part.logsumexp - part.label_logit).sum()
            entropy += (part.logsumexp - chunk.float() @ mean_weight).sum()
            divergence += part.divergence
            if grad_states is not None:
                gradient = part.error @ matrix
                if part.total is not None:
                    gradient = gradient.float().div_(kernel.scale * part.total)
                grad_states[:, rows] = gradient.unflatten(0, (passes, -1))
            if grad_weight is not None:
                if part.total is not None:
                    chunk = (chunk.float() / part.total).to(chunk.dtype)
                grad_weight += part.error.t() @ chunk
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
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        grad_states, grad_weight = ctx.saved_tensors
        gradient = gradient / ctx.passes
        by_states = grad_states * gradient.to(grad_states.dtype) if grad_states is not None else None
        by_weight = grad_weight.mul_(gradient) if grad_weight is not None else None
        return by_states, by_weight, None, None, None, None


def _chunk_tokens(vocabulary: int, device: torch.device) -> int:
    """Choose how many rows of logits to compute at once: few enough for a CPU's cache, enough to keep a GPU busy.

    And not fewer than 384, since every chunk adds to the whole gradient of the weights: with a vocabulary of 32,000 the
    loss takes 0.8 of the time of 98 rows, which would fit into the cache.
    """
    return max(384, (3 << 20 if device.type == "cpu" else 1 << 28) // vocabulary)
