"""The best next pieces of every hypothesis, and what turns their logits into log-probabilities.

Legend: `...` hypotheses in any shape, `V` vocabulary.
"""

import math

from torch import Tensor

_LOG2_E = math.log2(math.e)


def best_pieces(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` largest of `logits` `[..., V]` and their ids, largest first: `[..., count]` each."""
    return logits.topk(min(count, logits.size(-1)), dim=-1)


def normaliser(logits: Tensor, highest: Tensor) -> Tensor:
    """Return the logarithm of the sum of exponentials `[..., 1]` of `logits`, which are overwritten.

    `highest` `[..., 1]` is the largest of them. `logsumexp` would look for it again and make temporaries of the
    vocabulary's size, and PyTorch vectorises `exp2` better than `exp`.
    """
    return logits.sub_(highest).mul_(_LOG2_E).exp2_().sum(dim=-1, keepdim=True).log_().add_(highest)
