"""A Transformer for translation: the encoder at once, the decoder one position of every hypothesis at a time.

It computes what the modules of `Transformer` compute, without gradients and dropout, on plain tensors: calling a module
takes as long as one of the small products of a step. Products may be in another precision than the model's weights,
or by other kernels; sums and normalisation are in fp32.

Legend: `S` source tokens, `N` sentences, `K` hypotheses a sentence, `R` = N * K rows, `H` heads, `D` head width, `Y`
decoder layers, `V` target vocabulary.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor

from translator.attention import Ancestry, DenseMemory, KeyValueCache, Layout, MultiHeadAttention, Packed, attend
from translator.attention.cache import Slots, memory_layout
from translator.attention.kernels import attend_dense
from translator.model.layers import DecoderLayer, EncoderLayer, FeedForward, PostNorm
from translator.model.transformer import Transformer


class Linear(Protocol):
    """A matrix product plus a bias."""

    def __call__(self, states: Tensor, out: Tensor | None = None) -> Tensor:
        """`[R, inner]` to `[R, outer]`, in `out` where that is given and the kernel can."""
        ...


MakeLinear = Callable[[Tensor, Tensor | None], Linear]
"""From a weight `[outer, inner]` and a bias `[outer]`."""


class PlainLinear:
    """`Linear` by PyTorch's matrix product, in any precision."""

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype = torch.float32) -> None:
        self.weight = weight.detach().to(dtype).t()
        self.bias = None if bias is None else bias.detach().to(dtype)
        self.dtype = dtype

    def __call__(self, states: Tensor, out: Tensor | None = None) -> Tensor:
        states = states.to(self.dtype)
        if self.bias is None:
            return torch.mm(states, self.weight, out=out)
        return torch.addmm(self.bias, states, self.weight, out=out)


@dataclass
class DecoderState:
    """What decoding carries from step to step."""

    cache: KeyValueCache
    memory: DenseMemory
    ancestry: Ancestry
    logits: Tensor
    """Where those of a step are written: a fresh tensor of this size would cost as much as a tenth of the product."""
    length: int = 0

    def select(self, sentences: Tensor | None, parents: Tensor) -> "DecoderState":
        """Keep `sentences` `[M]` (None: all); hypothesis k of the m-th continues its hypothesis `parents[m, k]`.

        There may be more or fewer hypotheses than before. Keys, values and memory are touched only when sentences
        leave, and then the state that was is spent (see `gathered`).
        """
        cache, memory = self.cache, self.memory
        if sentences is not None:
            cache, memory = cache.select(sentences), memory.select(sentences)
        return DecoderState(cache, memory, self.ancestry.select(sentences, parents), self.logits, self.length)


class InferenceModel:
    """What `translator.decoding` needs of a Transformer, whose weights must not change afterwards."""

    def __init__(self, model: Transformer, linear: MakeLinear = PlainLinear) -> None:
        """`linear` makes the matrix products."""
        block = _PreNormBlock if model.settings.norm == "pre" else _PostNormBlock
        decoder = list(cast(Iterable[DecoderLayer], model.decoder_layers))
        self._encoder = [
            _EncoderLayer(
                block(layer.self_residual, _SelfAttention(layer.self_attention, linear)),
                block(layer.feed_forward_residual, _FeedForward(layer.feed_forward, linear)),
            )
            for layer in cast(Iterable[EncoderLayer], model.encoder_layers)
        ]
        self._decoder = [
            _DecoderLayer(
                block(layer.self_residual, _PastAttention(layer.self_attention, linear)),
                block(layer.cross_residual, _CrossAttention(layer.cross_attention, linear, 1)),
                block(layer.feed_forward_residual, _FeedForward(layer.feed_forward, linear)),
            )
            for layer in decoder
        ]
        self._source_embedding = model.source_embedding
        self._encoder_norm, self._decoder_norm = model.encoder_norm, model.decoder_norm
        self._embedding, self._scale = model.target_embedding.weight.detach(), model.target_embedding.scale
        self._positions = cast(Tensor, model.target_embedding.positions.table).detach()
        # Keys and values of all layers are one product of the memory.
        crosses = [layer.cross_attention for layer in decoder]
        self._heads, self._head_dim = crosses[0].num_heads, crosses[0].head_dim
        queries = self._heads * self._head_dim
        self._memory = linear(
            torch.cat([cross.input_weight[queries:] for cross in crosses]),
            torch.cat([cross.input_bias[queries:] for cross in crosses]),
        )
        self._output = linear(model.output_weight, None)

    def encode(self, source: Packed) -> Tensor:
        """The memory `[S, d_model]` of source sentences that end with the end mark."""
        states = self._source_embedding(source)
        for layer in self._encoder:
            states = layer.feed_forward(layer.attention(states, source.layout))
        return self._encoder_norm(states)

    def start(self, memory: Tensor, layout: Layout, width: int) -> DecoderState:
        """Begin one hypothesis for every sentence; `DecoderState.select` may make `width` of it."""
        shape = (len(self._decoder), 2, self._heads, self._head_dim)
        layout = memory_layout(layout)
        cells = memory.index_select(0, layout.rows)  # [N * S, d_model]
        dense = DenseMemory.of(self._memory(cells).unflatten(1, shape), layout)
        cache = KeyValueCache.empty(dense.grid, layout.num_sentences, len(self._decoder), self._heads, self._head_dim)
        logits = dense.grid.new_empty(layout.num_sentences * width, len(self._embedding))
        return DecoderState(cache, dense, Ancestry.empty(dense.grid, layout.num_sentences), logits)

    def step(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Decoder output `[N, K, d_model]` for the next tokens `[N, K]`; `state` moves on by one position."""
        states = torch.embedding(self._embedding, tokens.flatten())
        states = torch.add(self._positions[state.length], states, alpha=self._scale)  # [R, d_model]
        state.length += 1
        state.ancestry.append()
        slots = state.cache.append(tokens.size(1))
        for layer, own, (key, value) in zip(self._decoder, slots, state.memory.layers, strict=True):
            states = layer.past(states, own, state.ancestry.bias)
            states = layer.cross(states, key, value, state.memory.bias)
            states = layer.feed_forward(states)
        return self._decoder_norm(states).view(*tokens.shape, -1)

    def logits(self, states: Tensor, state: DecoderState) -> Tensor:
        """Unnormalised log-probabilities `[N, K, V]` of decoder output `[N, K, d_model]`, until the next step's."""
        rows = states.flatten(0, 1)
        return self._output(rows, out=state.logits[: len(rows)]).unflatten(0, states.shape[:2])


class _FeedForward:
    def __init__(self, module: FeedForward, linear: MakeLinear) -> None:
        self.inner, self.outer = (linear(part.weight, part.bias) for part in (module.inner, module.outer))
        self.activation = module.activation

    def __call__(self, states: Tensor) -> Tensor:
        return self.outer(self.activation(self.inner(states)))


class _Attention:
    def __init__(self, module: MultiHeadAttention, linear: MakeLinear, parts: int = 3) -> None:
        """Projects states to `parts` of (queries, keys, values)."""
        rows = parts * module.num_heads * module.head_dim
        self.project = linear(module.input_weight[:rows], module.input_bias[:rows])
        self.output = linear(module.output.weight, module.output.bias)
        self.split = (parts, module.num_heads, module.head_dim)


class _SelfAttention(_Attention):
    """Within packed sentences."""

    def __call__(self, states: Tensor, layout: Layout) -> Tensor:
        query, key, value = self.project(states).view(-1, *self.split).unbind(1)
        return self.output(attend(query, key, value, layout, layout).flatten(1))


class _PastAttention(_Attention):
    """From hypotheses to their pasts, which they are added to."""

    def __call__(self, states: Tensor, slots: Slots, bias: Tensor) -> Tensor:
        projected = self.project(states).view(len(bias), -1, *self.split).permute(0, 2, 3, 1, 4)  # [N, 3, H, K, D]
        slots.room.copy_(projected.narrow(1, 1, 2))
        heads = attend_dense(projected.select(1, 0), slots.key, slots.value, bias)  # [N, H, K, D]
        return self.output(heads.transpose(1, 2).reshape(len(states), -1))


class _CrossAttention(_Attention):
    """From hypotheses to the memory: those of a sentence are so many queries on one memory."""

    def __call__(self, states: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        query = self.project(states).view(len(key), -1, *self.split[1:]).transpose(1, 2)  # [N, H, K, D]
        heads = attend_dense(query, key, value, bias)
        return self.output(heads.transpose(1, 2).reshape(len(states), -1))


class _PostNormBlock:
    """See `PostNorm`."""

    def __init__(self, module: PostNorm, block: Callable[..., Tensor]) -> None:
        norm = module.norm
        self.norm = norm.normalized_shape, norm.weight.detach(), norm.bias.detach(), norm.eps
        self.block = block

    def __call__(self, states: Tensor, *context: Any) -> Tensor:
        return torch.layer_norm(states + self.block(states, *context), *self.norm)


class _PreNormBlock(_PostNormBlock):
    """See `PreNorm`."""

    def __call__(self, states: Tensor, *context: Any) -> Tensor:
        return states + self.block(torch.layer_norm(states, *self.norm), *context)


class _EncoderLayer(NamedTuple):
    attention: _PostNormBlock
    feed_forward: _PostNormBlock


class _DecoderLayer(NamedTuple):
    past: _PostNormBlock
    cross: _PostNormBlock
    feed_forward: _PostNormBlock
