"""Guided alignment: one head of the cross-attention learns given word links (Chen et al. 2016; Garg et al. 2019).

The loss is the cross-entropy between the links of a target token, each with the same share, and the head's weights
when that token is predicted: lse(s) - sum of shares * s, with scores s = q k / sqrt(D). Target tokens without links
count for nothing. All other heads, and this one for the translation, are computed by the usual kernels.

Legend (docs/shapes.md): `T` target tokens, `S` source tokens, `D` head width, `R` links, `M` sentences that have some,
`Lt`, `Ls` longest target and source among them.
"""

import math

import torch
from torch import Tensor

from translator.attention import Layout
from translator.config import TrainingSettings, guided_head
from translator.data.batches import Batch
from translator.data.links import Links
from translator.model import Transformer


class GuidedHead:
    """The head of a model that learns word links."""

    def __init__(self, model: Transformer, layer: int, head: int, weight: float) -> None:
        """`layer` and `head` count from 1; from now on, `model` keeps what the loss is computed from in training."""
        self._attention = model.attentions("cross")[layer - 1]
        self._attention.kept_head = head - 1
        self.weight = weight

    @classmethod
    def of(cls, model: Transformer, settings: TrainingSettings) -> "GuidedHead | None":
        """Make what `training.guided_alignment` asks for."""
        head = guided_head(settings, model.settings)
        return cls(model, head.layer, head.head, settings.guided_alignment) if head is not None else None

    def loss(self, batch: Batch) -> Tensor:
        """Sum the loss over the linked target tokens of a batch, which `model` has just computed in training."""
        kept = self._attention.kept
        self.forget()
        if kept is None or batch.links is None:
            raise RuntimeError("guided alignment needs a forward pass in training, of a batch with links; a bug")
        return alignment_loss(*kept, batch.links, batch.target.layout, batch.source.layout)

    def forget(self) -> None:
        """Let go of the last forward pass, whose activations would stay in memory."""
        self._attention.kept = None


def alignment_loss(query: Tensor, key: Tensor, links: Links, target: Layout, source: Layout) -> Tensor:
    """Sum the cross-entropy of the links over the linked target tokens; `query` `[T, D]`, `key` `[S, D]` of a head."""
    with torch.autocast(query.device.type, enabled=False):
        queries = _rows(query, target, links.sentences, links.target_length)  # [M, Lt, D]
        keys = _rows(key, source, links.sentences, links.source_length)  # [M, Ls, D]
        scores = queries @ keys.transpose(-1, -2) / math.sqrt(query.size(-1))
        columns = torch.arange(links.source_length, device=query.device)
        pads = columns >= source.lengths[links.sentences][:, None]  # [M, Ls]
        # Not -inf: the gradient of a row that is hidden as a whole would be no number.
        scores = scores.masked_fill(pads[:, None], torch.finfo(scores.dtype).min)
        log_sums = scores.logsumexp(-1)  # [M, Lt]
        losses = log_sums[links.rows, links.target] - scores[links.rows, links.target, links.source]  # [R]
        return (links.shares * losses).sum()


def _rows(states: Tensor, layout: Layout, sentences: Tensor, length: int) -> Tensor:
    """Gather the first `length` tokens of some sentences in fp32, `[M, length, D]`; pads are other tokens."""
    columns = torch.arange(length, device=states.device)
    tokens = (layout.offsets[sentences].long()[:, None] + columns).clamp_(max=len(states) - 1)
    return states.index_select(0, tokens.flatten()).float().view(*tokens.shape, states.size(-1))
