"""From logits to the best next tokens of every hypothesis and their log-probabilities.

Shapes: `...` hypotheses in any shape, V vocabulary.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

_LOG2_E = math.log2(math.e)
_GROUP = 64
_AT_ONCE = 1 << 24
"""Logits that are brought to fp32 at once: few enough for the cache of a GPU, in few launches."""
_LOWEST = -1e30
"""A finite number below all logits, which may be -inf."""


class Best(NamedTuple):
    """The most probable tokens of every hypothesis; a logit minus `logsumexp` is a log-probability."""

    logits: Tensor
    """Of these tokens, largest first, in the dtype of the logits: [..., B]."""
    ids: Tensor
    """[..., B]."""
    logsumexp: Tensor
    """Over the whole vocabulary, fp32 [..., 1]."""


def best_tokens(logits: Tensor, count: int) -> Best:
    """Return what `top_k` and `logsumexp` return, for GPUs: from one walk through the vocabulary, without a copy of it.

    Every part of the vocabulary is read for the maxima of its groups and, while the cache has it, for its sum of
    exponentials, relative to its own maximum. The `logits` [..., V] are left alone; temporaries are no larger than a
    part in fp32. Not timed on a GPU yet.
    """
    if logits.numel() <= _AT_ONCE:
        # A single part: here launches count, and the largest logit is known after the search for the best.
        values, ids = top_k(logits, count)
        top = values[..., :1].float()
        return Best(values, ids, _sum_of_powers(logits, top).log_().add_(top))
    whole = logits.size(-1) // _GROUP * _GROUP
    head, rest = torch.split(logits, [whole, logits.size(-1) - whole], dim=-1)
    maxima, tops, sums = [], [], []
    for part in (*_parts(head), *([rest] if rest.size(-1) else [])):
        if part.size(-1) % _GROUP == 0:
            maxima.append(torch.unflatten(part, -1, (-1, _GROUP)).amax(-1))
        top = (maxima[-1] if part is not rest else part).amax(-1, keepdim=True).float().clamp_(min=_LOWEST)
        tops.append(top)
        sums.append(_sum_of_powers(part, top))
    by_part = torch.cat(tops, -1)
    top = by_part.amax(-1, keepdim=True)
    total = (torch.cat(sums, -1) * ((by_part - top) * _LOG2_E).exp2_()).sum(-1, keepdim=True)
    values, ids = top_k(logits, count, torch.cat(maxima, -1) if maxima else None)
    return Best(values, ids, total.log_().add_(top))


def top_k(logits: Tensor, count: int, maxima: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the `count` largest of `logits` [..., V] and their ids, largest first: [..., count] each.

    On the CPU, `topk` sorts the whole vocabulary of each row; on CUDA it reads it several times. The largest logits
    must be in the groups with the largest maxima, which one read finds: on the CPU three times as fast (V = 8,000,
    count = 6), on CUDA not timed yet. `maxima` [..., V // 64] are those of the whole groups, if they are known.
    """
    vocabulary = logits.size(-1)
    count = min(count, vocabulary)
    groups = vocabulary // _GROUP
    if groups < 4 * count:
        return logits.topk(count, dim=-1)
    head, rest = torch.split(logits, [groups * _GROUP, vocabulary - groups * _GROUP], dim=-1)
    grid = torch.unflatten(head, -1, (groups, _GROUP))
    best = (grid.amax(-1) if maxima is None else maxima).topk(count, dim=-1).indices  # [..., count]
    if not rest.size(-1) and logits.is_contiguous():
        # Whole groups are copied faster by their index among the groups of all hypotheses.
        firsts = torch.arange(0, grid.numel() // _GROUP, groups, device=logits.device).view(*best.shape[:-1], 1)
        chosen = grid.flatten(0, -2).index_select(0, (best + firsts).flatten()).view(*best.shape[:-1], -1)
    else:
        chosen = grid.gather(-2, best.unsqueeze(-1).expand(*best.shape, _GROUP)).flatten(-2)
        chosen = torch.cat([chosen, rest], dim=-1)
        # The tokens that do not fill a group follow the chosen groups as one more group.
        best = torch.cat([best, torch.full_like(best[..., :1], groups)], dim=-1)
    values, indices = chosen.topk(count, dim=-1)
    slots = indices.div(_GROUP, rounding_mode="floor").clamp_(max=best.size(-1) - 1)
    return values, indices.add_(best.gather(-1, slots).sub_(slots), alpha=_GROUP)


def logsumexp(logits: Tensor, highest: Tensor) -> Tensor:
    """Return the logarithm of the sum of the exponentials of `logits` [..., V], as fp32 [..., 1].

    `logits` in fp32 are overwritten; those in half precision are left alone, and brought to fp32 in parts.

    `highest` [..., 1] is the largest logit. `torch.logsumexp` would search for it again and allocate temporaries of
    the vocabulary's size, and PyTorch vectorises `exp2` better than `exp`.
    """
    highest = highest.float()
    if logits.dtype == torch.float32:
        total = torch.add(highest * -_LOG2_E, logits, alpha=_LOG2_E, out=logits).exp2_().sum(dim=-1, keepdim=True)
    else:
        total = torch.cat([_sum_of_powers(part, highest) for part in _parts(logits)], -1).sum(-1, keepdim=True)
    return total.log_().add_(highest)


def _sum_of_powers(part: Tensor, top: Tensor) -> Tensor:
    """Sum the exponentials of `part` [..., C] minus `top` [..., 1], in fp32 [..., 1]."""
    return torch.add(top * -_LOG2_E, part, alpha=_LOG2_E).exp2_().sum(dim=-1, keepdim=True)


def _parts(logits: Tensor) -> tuple[Tensor, ...]:
    """Split the vocabulary of `logits` [..., V] into parts that are brought to fp32 at once, in whole groups."""
    rows = max(1, logits.numel() // max(1, logits.size(-1)))
    return torch.split(logits, max(1, _AT_ONCE // rows // _GROUP) * _GROUP, dim=-1) if logits.size(-1) else ()
