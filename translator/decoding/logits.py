"""The best next pieces of every hypothesis, and what turns their logits into log-probabilities.

Legend: `...` hypotheses in any shape, `V` vocabulary.
"""

import math

import torch
from torch import Tensor

_LOG2_E = math.log2(math.e)
_GROUP = 64


def top_k(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` largest of `logits` `[..., V]` and their ids, largest first: `[..., count]` each.

    On the CPU, `topk` sorts through the whole vocabulary for each row. The largest are among the groups with the
    largest maxima, which are found by vectorised comparisons: three times as fast (8,000 pieces, 6 of them).
    """
    vocabulary = logits.size(-1)
    count = min(count, vocabulary)
    groups = vocabulary // _GROUP
    if logits.is_cuda or groups < 4 * count:
        return logits.topk(count, dim=-1)
    head, rest = logits.split([groups * _GROUP, vocabulary - groups * _GROUP], dim=-1)
    grid = head.unflatten(-1, (groups, _GROUP))
    best = grid.amax(-1).topk(count, dim=-1).indices  # [..., count]
    if not rest.size(-1) and logits.is_contiguous():
        # Whole groups are copied faster by their number among the groups of all hypotheses.
        firsts = torch.arange(0, grid.numel() // _GROUP, groups).view(*best.shape[:-1], 1)
        chosen = grid.flatten(0, -2).index_select(0, (best + firsts).flatten()).view(*best.shape[:-1], -1)
    else:
        chosen = grid.gather(-2, best.unsqueeze(-1).expand(*best.shape, _GROUP)).flatten(-2)
        chosen = torch.cat([chosen, rest], dim=-1)
        # The pieces that fill no group stand behind the chosen groups, as if they were one more.
        best = torch.cat([best, torch.full_like(best[..., :1], groups)], dim=-1)
    values, places = chosen.topk(count, dim=-1)
    slots = places.div(_GROUP, rounding_mode="floor").clamp_(max=best.size(-1) - 1)
    return values, places.add_(best.gather(-1, slots).sub_(slots), alpha=_GROUP)


def logsumexp(logits: Tensor, highest: Tensor) -> Tensor:
    """Return the logarithm of the sum of exponentials `[..., 1]` of `logits`, which are overwritten.

    `highest` `[..., 1]` is the largest of them. `logsumexp` would look for it again and make temporaries of the
    vocabulary's size, and PyTorch vectorises `exp2` better than `exp`.
    """
    powers = torch.add(highest * -_LOG2_E, logits, alpha=_LOG2_E, out=logits).exp2_()
    return powers.sum(dim=-1, keepdim=True).log_().add_(highest)
