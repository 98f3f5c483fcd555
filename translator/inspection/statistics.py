"""What heads do over many sentences: how focused they are, which positions they look at, and which are similar.

Figures are means over query positions. The decoder's first position is left out, since it can only look at itself.

Shapes: N sentences, H heads of a layer, K heads of all layers of a kind, Lq and Lk longest query and key sentence, R
query positions, V vocabulary.
"""

import math
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from translator.attention import Packed
from translator.checkpoints import Bundle
from translator.config import KINDS
from translator.decoding import token_batches
from translator.inspection.capture import Weights, pack_pairs, teacher_forced_weights
from translator.text import Tokenizer
from translator.translation.word_alignment import Pair

FIGURES = ("entropy", "maximum", "previous", "same", "next", "mark", "punctuation")
"""entropy: in nats; maximum: the largest weight; previous, same, next: the weight on that position (for
cross-attention, of the source, relative to the position that is predicted); mark: the weight on the end token
(decoder self-attention: on the begin token); punctuation: the weight on pieces of punctuation."""

_BATCH_TOKENS = 2048
_CHUNK_NUMBERS = 1 << 23
_WORD = "\u2581"


@dataclass
class KindStatistics:
    """Figures of all heads of a kind, by layer and index."""

    figures: dict[str, NDArray[np.float64]]
    """By name in `FIGURES`, [K]; NaN if no position has such a neighbour."""
    distances: NDArray[np.float64]
    """Jensen-Shannon divergence of two heads in bits, [K, K]: 0 if their weights are equal, 1 if they never overlap."""


@dataclass
class _Sums:
    totals: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    distances: Tensor | float = 0.0

    def add(self, name: str, values: Tensor) -> None:
        """Add values [R, K] of a figure."""
        self.totals[name] = self.totals.get(name, 0.0) + values.double().sum(0)
        self.counts[name] = self.counts.get(name, 0) + len(values)

    def means(self) -> KindStatistics:
        """Return the means of everything that was added."""
        # If nothing was added, the figure becomes NaN.
        found = {name: (self.totals[name] / (self.counts[name] or math.nan)).cpu().numpy() for name in FIGURES}
        assert isinstance(self.distances, Tensor)
        distances = self.distances / (self.counts["entropy"] or math.nan) / math.log(2.0)
        return KindStatistics(found, (distances + distances.T).cpu().numpy())


@dataclass(frozen=True)
class Look:
    """One batch of pairs and the weights of all heads."""

    indices: list[int]
    """Indices of the pairs."""
    source: Packed
    target: Packed
    weights: Weights


def looks(bundle: Bundle, pairs: Sequence[Pair]) -> Iterator[Look]:
    """Pass pairs through the model once, in batches of similar length, and yield the weights of each batch."""
    for indices in token_batches([max(map(len, pair)) + 1 for pair in pairs], _BATCH_TOKENS):
        source, target = pack_pairs(bundle, [pairs[index] for index in indices])
        yield Look(indices, source, target, teacher_forced_weights(bundle, source, target))


def head_statistics(
    bundle: Bundle,
    pairs: Sequence[Pair],
    on_look: Callable[[Look], None] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, KindStatistics]:
    """Return the figures of all heads, by kind of which the model has any, over pairs with pieces on both sides.

    `on_look` is called with every batch, `on_progress` with the number of pairs in it.
    """
    tokenizers = bundle.tokenizers
    source_punctuation, target_punctuation = (
        _punctuation(side, bundle) for side in (tokenizers.source, tokenizers.target)
    )
    sums = {kind: _Sums() for kind in KINDS if bundle.model.attentions(kind)}
    for look in looks(bundle, pairs):
        for kind in sums:
            query = look.source if kind == "encoder" else look.target
            key = look.target if kind == "decoder" else look.source
            punctuation = (target_punctuation if kind == "decoder" else source_punctuation)[key.tokens]
            _add(sums[kind], look.weights[kind], query, key, punctuation, causal=kind == "decoder")
        if on_look is not None:
            on_look(look)
        if on_progress is not None:
            on_progress(len(look.indices))
    return {kind: each.means() for kind, each in sums.items()}


def _add(sums: _Sums, weights: Sequence[Tensor], query: Packed, key: Packed, punctuation: Tensor, causal: bool) -> None:
    """Add the figures of a batch, given the weights [N, H, Lq, Lk] of every layer.

    `punctuation` says which key tokens are punctuation, bool [total number of key tokens].
    """
    mask = query.layout.mask.clone()  # [N, Lq]
    if causal:
        mask[:, :1] = False
    grid = torch.cat(list(weights), dim=1).transpose(1, 2)  # [N, Lq, K, Lk]
    sentences, positions = mask.nonzero(as_tuple=True)  # [R] each
    rows = grid[sentences, positions]  # [R, K, Lk]
    seen = positions + 1 if causal else key.layout.lengths[sentences]
    entropy = torch.special.entr(rows).sum(-1)
    sums.add("entropy", entropy)
    sums.add("maximum", rows.amax(-1))
    for name, shift in (("previous", -1), ("same", 0), ("next", 1)):
        shifted = positions + shift
        exists = (shifted >= 0) & (shifted < seen)
        sums.add(name, _at(rows[exists], shifted[exists]))
    sums.add("mark", rows[:, :, 0] if causal else _at(rows, seen - 1))
    padded = punctuation.new_zeros(key.layout.mask.numel())
    padded[key.layout.cells] = punctuation
    sums.add("punctuation", (rows * padded.view(key.layout.mask.shape)[sentences].unsqueeze(1)).sum(-1))
    for part, entropies in zip(*_chunks(rows, entropy), strict=True):
        sums.distances = sums.distances + _divergences(part, entropies)


def _at(rows: Tensor, positions: Tensor) -> Tensor:
    """Return the weight [R, K] on one position [R] of every row [R, K, Lk]."""
    return rows.gather(-1, positions.view(-1, 1, 1).expand(-1, rows.size(1), 1)).squeeze(-1)


def _chunks(rows: Tensor, entropy: Tensor) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    size = max(1, _CHUNK_NUMBERS // max(1, rows[0].numel() if len(rows) else 1))
    return torch.split(rows, size), torch.split(entropy, size)


def _divergences(rows: Tensor, entropy: Tensor) -> Tensor:
    """Return the divergence of every pair of heads in nats, summed over rows [R, K, Lk], above the diagonal of [K, K].

    The Jensen-Shannon divergence is H((p + q) / 2) - (H(p) + H(q)) / 2 (Lin 1991); Clark et al. 2019, section 6, use it
    to compare heads.
    """
    heads = rows.size(1)
    found = torch.zeros(heads, heads, dtype=torch.float64, device=rows.device)
    for head in range(heads - 1):
        between = torch.special.entr((rows[:, head : head + 1] + rows[:, head + 1 :]) / 2).sum(-1)
        divergence = between - (entropy[:, head : head + 1] + entropy[:, head + 1 :]) / 2  # [R, K - head - 1]
        found[head, head + 1 :] = divergence.clamp_(min=0.0).double().sum(0)
    return found


def _punctuation(tokenizer: Tokenizer, bundle: Bundle) -> Tensor:
    """Return which pieces of a vocabulary are punctuation only, bool [V]."""
    pieces = tokenizer.pieces(range(tokenizer.vocab_size))
    return torch.tensor([is_punctuation(piece) for piece in pieces], device=bundle.machine.device)


def is_punctuation(piece: str) -> bool:
    """Tell whether all characters of a piece are punctuation (Unicode categories P)."""
    text = piece.removeprefix(_WORD)
    return bool(text) and all(unicodedata.category(character).startswith("P") for character in text)
