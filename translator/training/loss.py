"""Label-smoothed cross-entropy, fused with the output projection and done in chunks that stay in the cache.

Logits of a whole batch would be by far the largest tensor of training. Here they exist for a few hundred
tokens at a time, and their gradient is finished before the next chunk begins.

Legend: `T` target tokens, `V` vocabulary, `C` tokens of a chunk.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor


class LossSums(NamedTuple):
    """Sums over the target tokens of a batch, in nats; divide by the tokens of the whole update."""

    smoothed: Tensor
    """Label-smoothed cross-entropy; the one to differentiate."""
    nll: Tensor
    """Negative log-likelihood of the labels, without smoothing."""


def smoothed_cross_entropy(states: Tensor, weight: Tensor, labels: Tensor, smoothing: float) -> LossSums:
    """Sum the loss of `states` `[T, d_model]` against `labels` int64 `[T]` through `weight` `[V, d_model]`.

    For every token, (1 - s) * nll + s * mean over the vocabulary of -log p: what
    `torch.nn.functional.cross_entropy(..., label_smoothing=s, reduction="sum")` computes.
    """
    return LossSums(*_ProjectedCrossEntropy.apply(states, weight, labels, smoothing))


class _ProjectedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, labels: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        vocabulary = weight.shape[0]
        matrix = weight.to(states.dtype)
        # mean(logits) = states . mean(weight): the smoothing needs no pass over the vocabulary.
        mean_weight = weight.float().mean(0)
        grad_states = torch.empty_like(states) if ctx.needs_input_grad[0] else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        nll = states.new_zeros((), dtype=torch.float32)
        entropy = states.new_zeros((), dtype=torch.float32)
        for begin in range(0, len(labels), _chunk_tokens(vocabulary, states.device)):
            rows = slice(begin, begin + _chunk_tokens(vocabulary, states.device))
            chunk, label = states[rows], labels[rows, None]
            logits = chunk @ matrix.t()  # [C, V]
            probabilities = torch.softmax(logits, 1, dtype=torch.float32)
            top, log_top = logits.amax(1), probabilities.amax(1).log_()
            normaliser = top.float() - log_top  # log of the sum of exponentials, [C]
            nll += (normaliser - logits.gather(1, label).squeeze(1)).sum()
            entropy += (normaliser - chunk.float() @ mean_weight).sum()
            if grad_states is not None and grad_weight is not None:
                # d loss / d logits = p - (1 - s) onehot - s / V; the last term is constant and added below.
                probabilities.scatter_add_(1, label, torch.full_like(label, smoothing - 1.0, dtype=torch.float32))
                error = probabilities.to(states.dtype)
                torch.mm(error, matrix, out=grad_states[rows])
                _accumulate(grad_weight, error, chunk)
        if grad_states is not None and grad_weight is not None:
            grad_states -= (smoothing * mean_weight).to(states.dtype)
            grad_weight -= (smoothing / vocabulary) * states.sum(0, dtype=torch.float32)
        ctx.save_for_backward(grad_states, grad_weight)
        ctx.mark_non_differentiable(nll)
        return (1.0 - smoothing) * nll + smoothing * entropy, nll

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grad_states, grad_weight = ctx.saved_tensors
        return grad_states * gradient.to(grad_states.dtype), grad_weight.mul_(gradient), None, None


def _accumulate(total: Tensor, error: Tensor, chunk: Tensor) -> None:
    """Add error^T chunk to `total`, whose dtype may be wider."""
    if total.dtype == error.dtype:
        total.addmm_(error.t(), chunk)
    else:
        total += error.t() @ chunk


def _chunk_tokens(vocabulary: int, device: torch.device) -> int:
    """Tokens whose logits stay in a CPU's cache, or fill a GPU without filling its memory."""
    return max(64, (1 << 21 if device.type == "cpu" else 1 << 28) // vocabulary)
