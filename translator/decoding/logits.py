"""From logits to the best next tokens of every hypothesis and their log-probabilities.

Shapes: `...` hypotheses in any shape, V vocabulary.
"""

import math

import torch
from torch import Tensor

_LOG2_E = math.log2(math.e)
_GROUP = 64


def top_k(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` largest of `logits` [..., V] and their ids, largest first: [..., count] each.

    On the CPU, `topk` sorts the whole vocabulary of each row; on CUDA it reads it several times. The largest logits
    must be in the groups with the largest maxima, which one read finds: on the CPU three times as fast (V = 8,000,
    count = 6), on CUDA not timed yet.
    """
    vocabulary = logits.size(-1)
    count = min(count, vocabulary)
    groups = vocabulary // _GROUP
    if groups < 4 * count:
        return logits.topk(count, dim=-1)
    head, rest = torch.split(logits, [groups * _GROUP, vocabulary - groups * _GROUP], dim=-1)
    grid = torch.unflatten(head, -1, (groups, _GROUP))
    best = grid.amax(-1).topk(count, dim=-1).indices  # [..., count]
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

    `logits` in fp32 are overwritten; those in half precision are left alone, and brought to fp32 on the way.

    `highest` [..., 1] is the largest logit. `torch.logsumexp` would search for it again and allocate temporaries of
    the vocabulary's size, and PyTorch vectorises `exp2` better than `exp`.
    """
    highest = highest.float()
    out = logits if logits.dtype == torch.float32 else None
    powers = torch.add(highest * -_LOG2_E, logits, alpha=_LOG2_E, out=out).exp2_()
    return powers.sum(dim=-1, keepdim=True).log_().add_(highest)
