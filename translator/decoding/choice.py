"""Which continuations of its hypotheses a beam search goes on with: in a step, sentence by sentence.

Shapes: M sentences, K hypotheses of each, B branches of each hypothesis, G groups.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from translator.decoding.tracking import RuleTracker

NEVER = -math.inf


class Choice(NamedTuple):
    """The continuations chosen in a step, in the order in which they were; -inf is none."""

    endings: Tensor
    """Totals [M, E] of those that end."""
    ending_parents: Tensor
    """[M, E]"""
    live: Tensor
    """Totals [M, K] of those that go on."""
    parents: Tensor
    """[M, K]"""
    tokens: Tensor
    """[M, K]"""


@dataclass(frozen=True)
class Chooser:
    """Chooses `width` continuations a sentence, in `groups` that keep apart from each other."""

    width: int
    eos_id: int
    groups: int
    diversity_penalty: float
    """What a piece costs a group, in nats, for each hypothesis of the groups before it that goes on with it."""

    def __call__(self, totals: Tensor, pieces: Tensor, tracker: RuleTracker | None) -> Choice:
        """Choose among continuations of `totals` and ids `pieces` [M, K, B].

        Hypotheses of the g-th group are the g-th part of the K; a single one is continued by all groups. With required
        phrases the tensors must be on the CPU.
        """
        if self.groups == 1:
            return self._choose(totals, totals, pieces, tracker, 0)
        chosen: list[Choice] = []
        size = max(1, totals.size(1) // self.groups)
        for group in range(self.groups):
            first = group * size if totals.size(1) > 1 else 0
            own, ids = totals[:, first : first + size], pieces[:, first : first + size]
            keys = own
            for earlier in chosen:
                same = ids.unsqueeze(-1) == earlier.tokens[:, None, None, :]  # [M, K / G, B, K / G]
                same &= (earlier.live > NEVER)[:, None, None, :]
                keys = keys - self.diversity_penalty * same.sum(-1)
            chosen.append(self._choose(keys, own, ids, tracker, first))
        return Choice(*(torch.cat(parts, dim=1) for parts in zip(*chosen, strict=True)))

    def _choose(self, keys: Tensor, totals: Tensor, pieces: Tensor, tracker: RuleTracker | None, first: int) -> Choice:
        """Choose in the order of `keys` among the continuations of hypotheses `first`, `first` + 1 and so on."""
        width = self.width // self.groups
        if tracker is not None and tracker.requires:
            keys = tracker.shared(keys, pieces, first)
        # Each hypothesis ends once, so among the first 2K are the first K that do not end.
        places = keys.flatten(1).topk(min(2 * width, keys[0].numel()), dim=-1).indices
        totals, tokens = totals.flatten(1).gather(1, places), pieces.flatten(1).gather(1, places)
        parents = places // pieces.size(-1) + first
        ends = tokens == self.eos_id
        endings = totals[:, :width].masked_fill(~ends[:, :width], NEVER)
        order = ends.sort(dim=1, stable=True).indices[:, :width]
        live = totals.masked_fill(ends, NEVER).gather(1, order)
        return Choice(endings, parents[:, :width], live, parents.gather(1, order), tokens.gather(1, order))
