"""The encoder-decoder Transformer (Vaswani et al. 2017) on packed batches, and its step-by-step decoder.

Legend: `T` target tokens, `S` source tokens, `N` sentences, `K` hypotheses a sentence, `V` target vocabulary.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from translator.attention import Ancestry, DenseMemory, KeyValueCache, Layout, Packed
from translator.config import ModelSettings
from translator.model.embedding import Embedding, LearnedPositions, SinusoidalPositions
from translator.model.layers import DecoderLayer, EncoderLayer


@dataclass
class DecoderState:
    """What decoding carries from step to step: a cache and the projected memory for every layer."""

    caches: list[KeyValueCache]
    memories: list[DenseMemory]
    ancestry: Ancestry
    length: int = 0

    def select(self, sentences: Tensor | None, parents: Tensor) -> "DecoderState":
        """Keep `sentences` `[M]` (None: all); hypothesis k of the m-th continues its hypothesis `parents[m, k]`.

        There may be more or fewer hypotheses than before. Only when sentences leave are keys, values and memory touched.
        """
        caches, memories = self.caches, self.memories
        if sentences is not None:
            caches = [cache.select(sentences) for cache in caches]
            memories = [memory.select(sentences) for memory in memories]
        return DecoderState(caches, memories, self.ancestry.select(sentences, parents), self.length)


class Transformer(nn.Module):
    """Encoder, decoder and output projection; the vocabulary sizes may differ unless embeddings are tied."""

    def __init__(self, settings: ModelSettings, source_vocabulary: int, target_vocabulary: int) -> None:
        super().__init__()
        self.settings = settings
        d_model = settings.d_model
        target_weight = _embedding_weight(target_vocabulary, d_model)
        source_weight = (
            target_weight if settings.tie_embeddings == "all" else _embedding_weight(source_vocabulary, d_model)
        )
        self.source_embedding = _embedding(source_weight, settings)
        self.target_embedding = _embedding(target_weight, settings)
        self.encoder_layers = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.encoder_layers))
        self.decoder_layers = nn.ModuleList(DecoderLayer(settings) for _ in range(settings.decoder_layers))
        pre_norm = settings.norm == "pre"
        self.encoder_norm = nn.LayerNorm(d_model) if pre_norm else nn.Identity()
        self.decoder_norm = nn.LayerNorm(d_model) if pre_norm else nn.Identity()
        self.output_weight = (
            _embedding_weight(target_vocabulary, d_model) if settings.tie_embeddings == "none" else target_weight
        )

    @property
    def _decoder(self) -> Iterable[DecoderLayer]:
        return cast(Iterable[DecoderLayer], self.decoder_layers)

    def forward(self, source: Packed, target: Packed) -> Tensor:
        """Decoder output `[T, d_model]` for targets that are known; `logits` or the loss projects it."""
        memory = self.encode(source)
        return self.decode(target, memory, source.layout)

    def encode(self, source: Packed) -> Tensor:
        """The memory `[S, d_model]` of source sentences that end with the end mark."""
        states = self.source_embedding(source)
        for layer in self.encoder_layers:
            states = layer(states, source.layout)
        return self.encoder_norm(states)

    def decode(self, target: Packed, memory: Tensor, memory_layout: Layout) -> Tensor:
        """Decoder output `[T, d_model]` for targets that begin with the start mark."""
        states = self.target_embedding(target)
        for layer in self._decoder:
            states = layer(states, target.layout, memory, memory_layout)
        return self.decoder_norm(states)

    def logits(self, states: Tensor) -> Tensor:
        """Unnormalised log-probabilities `[..., V]` of decoder output `[..., d_model]`."""
        return functional.linear(states, self.output_weight)

    def start(self, memory: Tensor, layout: Layout, width: int, capacity: int) -> DecoderState:
        """Begin one hypothesis for every sentence, of at most `capacity` steps; a step may make `width` of it."""
        memories = [layer.cross_attention.dense_memory(memory, layout) for layer in self._decoder]
        slots = 1 + (capacity - 1) * width
        caches = [
            KeyValueCache.empty(memories[0].key, layout.num_sentences, attention.num_heads, slots, attention.head_dim)
            for attention in (layer.self_attention for layer in self._decoder)
        ]
        return DecoderState(caches, memories, Ancestry())

    def step(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Decoder output `[N, K, d_model]` for the next tokens `[N, K]`; `state` moves on by one position."""
        states = self.target_embedding.step(tokens, state.length)
        state.ancestry.append(state.caches[0].key, tokens.size(1))
        for layer, cache, memory in zip(self._decoder, state.caches, state.memories, strict=True):
            states = layer.step(states, cache, state.ancestry, memory)
        state.length += 1
        return self.decoder_norm(states)


def build_model(settings: ModelSettings, source_vocabulary: int, target_vocabulary: int, seed: int) -> Transformer:
    """Make a freshly initialised model; the weights are a pure function of the arguments."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Transformer(settings, source_vocabulary, target_vocabulary)


def count_parameters(model: nn.Module) -> int:
    """Trained numbers; a shared matrix counts once, the fixed table of positions does not."""
    return sum(parameter.numel() for parameter in model.parameters())


def _embedding_weight(vocabulary: int, d_model: int) -> nn.Parameter:
    weight = nn.Parameter(torch.empty(vocabulary, d_model))
    nn.init.normal_(weight, std=d_model**-0.5)
    return weight


def _embedding(weight: nn.Parameter, settings: ModelSettings) -> Embedding:
    positions = (
        LearnedPositions(settings.max_positions, settings.d_model)
        if settings.positions == "learned"
        else SinusoidalPositions(settings.max_positions, settings.d_model)
    )
    return Embedding(weight, positions, settings.dropout, settings.word_dropout)
