"""Which source word each target word comes from, according to one head of the decoder's cross-attention.

Legend: `N` sentences, `H` heads, `Lt`, `Ls` longest target and source, `P` target pieces of all sentences.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

import torch
from torch import Tensor

from translator.attention import Layout, Packed, attention_weights, pack
from translator.checkpoints import Bundle
from translator.decoding.engine import token_batches
from translator.model import Transformer
from translator.model.layers import DecoderLayer

Pair = tuple[Sequence[int], Sequence[int]]
"""Source and target in piece ids without special tokens, except for the language tag of the source."""
Aligner = Callable[[Sequence[Pair]], list[list[int]]]
"""For every target piece of every pair, the index of a source piece; an empty list if there is no source piece."""

_BATCH_TOKENS = 4096
_WORD = "\u2581"


@dataclass(frozen=True)
class AlignmentHead:
    """A head of the cross-attention, counted from 1."""

    layer: int
    head: int
    score: float | None = None
    """If it was learned: the share of the target's information that its alignment carries, 0 to 1."""
    pairs: int = 0
    """Sentence pairs that it was learned from."""


def attention_aligner(bundle: Bundle, head: AlignmentHead) -> Aligner:
    """Return a function that links every target piece to the source piece that `head` attends to most to predict it.

    A language tag counts among the indices of source pieces, but no piece is linked to it or to the end-of-sentence
    token. The function passes the pairs through the model once, in batches; several threads may call it.
    """

    def align(pairs: Sequence[Pair]) -> list[list[int]]:
        links: list[list[int]] = [[] for _ in pairs]
        for indices, linked in most_attended(bundle, pairs, [head.layer]):
            for index, row in zip(indices, linked[0][:, head.head - 1].tolist(), strict=True):
                links[index] = row[: len(pairs[index][1])]
        return links

    return align


def word_links(
    source_pieces: Sequence[str], target_pieces: Sequence[str], links: Sequence[int]
) -> list[tuple[int, int]]:
    """Return the linked words (source, target), counted from 0, sorted, each once.

    `links` are indices from an `Aligner`. A word begins at every piece that begins with U+2581 and at the first piece,
    so a language tag must be left out of the source, and out of the indices.
    """
    source_words, target_words = word_numbers(source_pieces), word_numbers(target_pieces)
    return sorted({(source_words[index], word) for index, word in zip(links, target_words, strict=False)})


def word_numbers(pieces: Sequence[str]) -> list[int]:
    """Number the word that each piece belongs to, from 0."""
    return list(accumulate(int(index > 0 and piece.startswith(_WORD)) for index, piece in enumerate(pieces)))


def pharaoh(links: Sequence[tuple[int, int]]) -> str:
    """Write links (source, target) as `0-0 1-2`."""
    return " ".join(f"{source}-{target}" for source, target in links)


@torch.inference_mode()
def most_attended(
    bundle: Bundle, pairs: Sequence[Pair], layers: Sequence[int]
) -> Iterator[tuple[list[int], list[Tensor]]]:
    """Yield batches: the indices of N pairs, and by layer `[N, H, Lt]` the source piece that gets the most attention.

    Pairs without a target piece, or without a source piece other than a language tag, are in no batch.
    """
    tokenizers, machine = bundle.tokenizers, bundle.machine
    special = [tokenizers.source.eos_id, *tokenizers.source.tags.values()]
    usable = [index for index, (source, target) in enumerate(pairs) if len(target) and not set(source) <= set(special)]
    lengths = [max(map(len, pairs[index])) + 1 for index in usable]
    for batch in token_batches(lengths, _BATCH_TOKENS):
        indices = [usable[index] for index in batch]
        source = pack([[*pairs[index][0], special[0]] for index in indices]).to(machine.device)
        # The last piece predicts the end-of-sentence token, which is not linked.
        target = pack([[tokenizers.target.bos_id, *pairs[index][1][:-1]] for index in indices]).to(machine.device)
        real = source.tokens.new_zeros(source.layout.mask.numel(), dtype=torch.bool)
        real[source.layout.cells] = torch.isin(source.tokens, source.tokens.new_tensor(special), invert=True)
        hidden = ~real.view(source.layout.mask.shape)[:, None, None, :]  # [N, 1, 1, Ls]
        with machine.autocast():
            found = [
                weights.masked_fill_(hidden, -1.0).argmax(-1).cpu()
                for weights in _weights(bundle.model, source, target, layers)
            ]
        yield indices, found


def _weights(model: Transformer, source: Packed, target: Packed, layers: Sequence[int]) -> Iterator[Tensor]:
    """Yield the cross-attention weights `[N, H, Lt, Ls]` of some layers (from 1, ascending) for known targets."""
    memory, states = model.encode(source), model.target_embedding(target)
    for index, layer in enumerate(cast("Sequence[DecoderLayer]", model.decoder_layers[: max(layers)]), start=1):
        if index in layers:
            yield layer_weights(layer, states, target.layout, memory, source.layout)
        states = layer(states, target.layout, memory, source.layout)


def layer_weights(layer: DecoderLayer, states: Tensor, layout: Layout, memory: Tensor, memory_layout: Layout) -> Tensor:
    """Return the weights `[N, H, Lt, Ls]` of a layer's attention to the encoder output; see `DecoderLayer.forward`."""
    states = layer.self_residual(states, lambda x: layer.look_back(x, layout))
    attention, looked = layer.cross_attention, []

    def look(x: Tensor) -> Tensor:
        query, key = attention.project_query(x), attention.project_memory(memory, memory_layout).key
        with torch.autocast(x.device.type, enabled=False):
            looked.append(attention_weights(query, key, layout, memory_layout))
        return x

    # The residual connection decides what the queries are computed from: it may normalise before the block.
    layer.cross_residual(states, look)
    return looked[0]
