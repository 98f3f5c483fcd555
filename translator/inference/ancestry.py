"""Which hypotheses descend from which, so that those of a sentence can share one cache of keys and values.

Nothing in the cache is moved when hypotheses are reordered: each step gives every hypothesis a slot of its own, and
`Ancestry` remembers whose slots a hypothesis descends from. The hypotheses of a sentence are then several queries on
one grid, which multiplies several times faster than a grid for each of them. Slots that no hypothesis descends from
are given out again, so that a beam needs few more slots than a single hypothesis.

Legend (docs/shapes.md): `N` sentences, `M` of them that stay, `K` hypotheses a sentence, `W` slots in use, a multiple
of 16.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

STRIDE = 16
"""Keys come in multiples of it: over fewer PyTorch's softmax is not vectorised, and takes ten times as long."""


def whole_strides(slots: int) -> int:
    """Round up to a multiple of `STRIDE`."""
    return -(-slots // STRIDE) * STRIDE


class NewSlots(NamedTuple):
    """The slots of a step's hypotheses: the K slots from `first` on in all sentences, or `slots` if they differ."""

    first: int
    slots: Tensor | None = None
    """`[N, K]`"""


@dataclass
class Ancestry:
    """Which slots each hypothesis sees, as a bias on scores: 0 for its own past, -inf for all other slots.

    `bias` is `[N, 1, K, W]`; no sentence has used the slots from `filled` on.
    """

    bias: Tensor
    filled: int = 0

    @classmethod
    def empty(cls, like: Tensor, sentences: int) -> "Ancestry":
        """One hypothesis without a past for each sentence, with the device and dtype of `like`."""
        return cls(like.new_full((sentences, 1, 1, STRIDE), -math.inf))

    def append(self) -> NewSlots:
        """Give each hypothesis a slot, which it alone sees."""
        sentences, _, hypotheses, width = self.bias.shape
        if self.filled + hypotheses > width:
            slots = self._unseen()
            if slots is not None:
                self.filled = width
                self.bias.scatter_(3, slots.view(sentences, 1, hypotheses, 1), 0.0)
                return NewSlots(width, slots)
            missing = whole_strides(self.filled + hypotheses) - width
            self.bias = functional.pad(self.bias, (0, missing), value=-math.inf)
        first, self.filled = self.filled, self.filled + hypotheses
        self.bias.narrow(3, first, hypotheses).diagonal(dim1=2, dim2=3).zero_()
        return NewSlots(first)

    def _unseen(self) -> Tensor | None:
        """Slots `[N, K]` that no hypothesis of their sentence sees, if every sentence has K of them."""
        hypotheses, width = self.bias.shape[2:]
        if hypotheses > width:
            return None
        seen, slots = self.bias.amax(dim=2).squeeze(1).topk(hypotheses, dim=-1, largest=False)
        return None if bool((seen == 0.0).any()) else slots

    def select(self, sentences: Tensor | None, parents: Tensor) -> "Ancestry":
        """The ancestry of hypotheses that continue `parents` `[M, K]` of `sentences` `[M]` (None: all, in order)."""
        count, _, before, width = self.bias.shape
        indices = torch.arange(count, device=parents.device) if sentences is None else sentences
        rows = torch.add(parents, indices[:, None], alpha=before)  # [M, K]
        bias = self.bias.view(-1, width).index_select(0, rows.flatten())
        return Ancestry(bias.view(len(parents), 1, parents.size(1), width), self.filled)
