"""What hypotheses keep of what they have decoded, for one kind of decoder layer or the other.

Attention keeps keys and values of every position, a recurrent cell (`translator.model.ssru`) one vector.

Legend (docs/shapes.md): `Y` layers, `N` sentences, `M` of them that stay, `K` hypotheses a sentence, `W` slots in use.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from translator.inference.ancestry import Ancestry
from translator.inference.cache import KeyValueCache, PastCache


class StepPast(NamedTuple):
    """What a step reads and writes of the past."""

    layers: "Sequence[PastCache | Tensor]"
    """By layer: keys and values, or the cells `[N, K, d_model]`, which a step replaces in place."""
    bias: Tensor | None
    """`[N, 1, K, W]`: 0 for the slots of a hypothesis's own past, this step's included, -inf for all others; None for
    cells."""


class Past(Protocol):
    """The pasts of all hypotheses of a batch."""

    def append(self) -> StepPast:
        """Make room for the next position of every hypothesis."""
        ...

    def select(self, sentences: Tensor | None, parents: Tensor) -> "Past":
        """See `DecoderState.select`; this one must not be used any more."""
        ...


@dataclass
class AttentionPast:
    """Keys and values, which stay where they are, and which of them a hypothesis sees."""

    cache: KeyValueCache
    ancestry: Ancestry

    def append(self) -> StepPast:
        """See `Past`."""
        return StepPast(self.cache.append(self.ancestry), self.ancestry.bias)

    def select(self, sentences: Tensor | None, parents: Tensor) -> "AttentionPast":
        """See `Past`: keys and values are touched only when sentences leave."""
        cache = self.cache if sentences is None else self.cache.select(sentences)
        return AttentionPast(cache, self.ancestry.select(sentences, parents))


@dataclass
class CellPast:
    """The cells of all layers, fp32 `[Y, N, K, d_model]`, which are copied as hypotheses are chosen."""

    cells: Tensor

    @classmethod
    def empty(cls, layers: int, sentences: int, d_model: int, device: torch.device) -> "CellPast":
        """One hypothesis without a past for each sentence."""
        return cls(torch.zeros(layers, sentences, 1, d_model, device=device))

    def append(self) -> StepPast:
        """See `Past`."""
        return StepPast(self.cells.unbind(), None)

    def select(self, sentences: Tensor | None, parents: Tensor) -> "CellPast":
        """See `Past`."""
        layers, count, before, width = self.cells.shape
        indices = torch.arange(count, device=parents.device) if sentences is None else sentences
        rows = torch.add(parents, indices[:, None], alpha=before)  # [M, K]
        chosen = self.cells.view(layers, -1, width).index_select(1, rows.flatten())
        return CellPast(chosen.view(layers, *parents.shape, width))
