"""A Transformer for translation: the encoder at once, the decoder one position of every hypothesis at a time.

It computes what the modules of `Transformer` compute, without gradients and dropout, on plain tensors: calling a module
takes as long as one of the small products of a step. Products may be in another precision than the model's weights, or
by other kernels; sums and normalisation are in fp32. `InferenceModel.decode` is the only statement of a decoding step:
it drives caches that grow (`cache.py`) and tensors of fixed address (`static_decoder.py`).

Legend (docs/shapes.md): `S` source tokens, `N` sentences, `M` of them that stay, `K` hypotheses a sentence, `R` = N * K
rows, `H` heads, `D` head width, `L` longest source, `V` target vocabulary.
"""

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional

from translator.attention import Layout, MultiHeadAttention, Packed, attend
from translator.attention.kernels import attend_dense
from translator.inference.ancestry import Ancestry
from translator.inference.cache import DenseMemory, KeyValueCache, Memory, PastCache, Workspace
from translator.inference.linear import Linear, MakeLinear, PlainLinear
from translator.inference.past import AttentionPast, CellPast, Past, StepPast
from translator.model.layers import DecoderLayer, EncoderLayer, FeedForward, PostNorm
from translator.model.ssru import SSRU
from translator.model.transformer import Transformer

_PART_TOKENS = 1024


class StepCache(NamedTuple):
    """What a decoding step reads and writes, besides its tokens."""

    position: int | Tensor
    """How many tokens every hypothesis has already; `[1]` if the step is recorded, which would fix a plain number."""
    past: StepPast
    memory: Sequence[Memory]
    """By layer."""
    memory_bias: Tensor | None
    """`[N, 1, 1, L]`: -inf for pads; None if there are none."""


@dataclass
class DecoderState:
    """What decoding carries from step to step, in tensors that grow."""

    past: Past
    memory: DenseMemory
    length: int = 0

    def append(self) -> StepCache:
        """Make room for the next position of every hypothesis."""
        self.length += 1
        return StepCache(self.length - 1, self.past.append(), self.memory.layers, self.memory.bias)

    def select(self, sentences: Tensor | None, parents: Tensor) -> "DecoderState":
        """Keep `sentences` `[M]` (None: all); hypothesis k of the m-th continues its hypothesis `parents[m, k]`.

        There may be more or fewer hypotheses than before. The memory is touched only when sentences leave. The old
        state must not be used any more.
        """
        if sentences is not None:
            self.memory = self.memory.select(sentences)
        self.past = self.past.select(sentences, parents)
        return self


class InferenceModel:
    """What searches need of a Transformer, whose weights must not change afterwards."""

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
                block(
                    layer.self_residual,
                    _PastCell(layer.cell, linear) if layer.recurrent else _PastAttention(layer.self_attention, linear),
                ),
                block(layer.cross_residual, _CrossAttention(layer.cross_attention, linear, 1)),
                block(layer.feed_forward_residual, _FeedForward(layer.feed_forward, linear)),
            )
            for layer in decoder
        ]
        self._source_embedding = model.source_embedding
        self._encoder_norm, self._decoder_norm = model.encoder_norm, model.decoder_norm
        self._embedding, self._scale = model.target_embedding.weight.detach(), model.target_embedding.scale
        self._zero_start = model.target_embedding.zero_start
        self._positions = cast(Tensor, model.target_embedding.positions.table).detach()
        self._output = linear(model.output_weight, model.output_bias)
        self.device = self._embedding.device
        self.d_model = model.settings.d_model
        self.head_dim = model.settings.width_of_head
        self.past_heads = [module.num_heads for module in model.attentions("decoder")]
        """Heads of every decoder layer that look at the past; none if recurrent cells take their place."""
        self.memory_heads = [layer.cross_attention.num_heads for layer in decoder]
        """Heads of every decoder layer that look at the memory."""
        self.memory_projections = [_memory_projection(layer.cross_attention, linear) for layer in decoder]
        """By layer, from memory `[..., d_model]` to keys and values `[..., 2 * H * D]`."""
        # Of batches that are done; there are as many as threads.
        self._spare: list[Workspace] = []

    def encode(self, source: Packed) -> Tensor:
        """The memory `[S, d_model]` of source sentences that end with the end-of-sentence token."""
        return torch.cat([self._encode(part) for part in _parts(source)])

    def _encode(self, source: Packed) -> Tensor:
        states = self._source_embedding(source)
        for layer in self._encoder:
            states = layer.feed_forward(layer.attention(states, source.layout))
        return cast(Tensor, self._encoder_norm(states))

    def start(self, memory: Tensor, layout: Layout, width: int, capacity: int) -> DecoderState:
        """Begin one hypothesis for every sentence, with at most `capacity` steps of at most `width` hypotheses."""
        try:
            workspace = self._spare.pop()
        except IndexError:
            workspace = Workspace()
        dense = DenseMemory.of(memory, layout, self.memory_projections, self.memory_heads, workspace)
        past: Past
        if self.past_heads:
            cache = KeyValueCache.next_to(dense, self.past_heads, capacity, width, workspace)
            past = AttentionPast(cache, Ancestry.empty(dense.grids[0], layout.num_sentences))
        else:
            past = CellPast.empty(len(self._decoder), layout.num_sentences, self.d_model, self.device)
        state = DecoderState(past, dense)
        weakref.finalize(state, self._spare.append, workspace).atexit = False
        return state

    def free_workspaces(self) -> None:
        """Drop the tensors of batches that are done, which later batches would use again."""
        self._spare.clear()

    def step(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """`decode` the next `tokens` `[N, K]`; `state` moves on by one position."""
        return self.decode(tokens, state.append())

    def decode(self, tokens: Tensor, cache: StepCache) -> Tensor:
        """Decoder output `[N, K, d_model]` for the next `tokens` `[N, K]`; their keys and values go into `cache`."""
        states = torch.embedding(self._embedding, tokens.flatten())
        if self._zero_start:
            # The position is a tensor if the step is recorded: then the factor must be computed on the device.
            states = states * (cache.position > 0)
        states = torch.add(self._positions[cache.position], states, alpha=self._scale)  # [R, d_model]
        for layer, past, memory in zip(self._decoder, cache.past.layers, cache.memory, strict=True):
            states = layer.past(states, past, cache.past.bias)
            states = layer.cross(states, memory, cache.memory_bias)
            states = layer.feed_forward(states)
        return cast(Tensor, self._decoder_norm(states)).view(*tokens.shape, -1)

    def logits(self, states: Tensor) -> Tensor:
        """Unnormalised log-probabilities `[N, K, V]` of decoder output `[N, K, d_model]`."""
        return self._output(states.flatten(0, 1)).view(*states.shape[:2], -1)


def _parts(source: Packed) -> Iterator[Packed]:
    """On the CPU about 1,024 tokens at a time, which stay in its cache; neighbours in length attend with fewer pads."""
    if source.tokens.is_cuda:
        yield source
        return
    offsets, first = source.layout.offsets.tolist(), 0
    for row in range(1, len(offsets)):
        if row + 1 == len(offsets) or offsets[row + 1] - offsets[first] > _PART_TOKENS:
            yield source.sentences(slice(first, row))
            first = row


def _memory_projection(module: MultiHeadAttention, linear: MakeLinear) -> Linear:
    queries = module.num_heads * module.head_dim
    return linear(module.input_weight[queries:], module.input_bias[queries:])


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
    """From hypotheses to their own pasts, this position included."""

    def __call__(self, states: Tensor, cache: PastCache, bias: Tensor) -> Tensor:
        projected = self.project(states).view(len(bias), -1, *self.split).permute(2, 0, 3, 1, 4)  # [3, N, H, K, D]
        cache.put(projected[1:])
        heads = attend_dense(projected[0], cache.key, cache.value, bias)  # [N, H, K, D]
        return self.output(heads.transpose(1, 2).reshape(len(states), -1))


class _PastCell:
    """`SSRU`, one step."""

    def __init__(self, module: SSRU, linear: MakeLinear) -> None:
        gate, update = module.gate, module.update
        self.project = linear(
            torch.cat([gate.weight, update.weight]).detach(),
            functional.pad(gate.bias.detach(), (0, len(update.weight))),
        )

    def __call__(self, states: Tensor, cells: Tensor, _: None) -> Tensor:
        gate, update = self.project(states).float().chunk(2, dim=-1)  # [R, d_model]
        # What is kept of the new is 1 - forget; lerp(a, b, w) = a + w * (b - a).
        cell = torch.lerp(update, cells.view_as(update), torch.sigmoid(gate))
        cells.copy_(cell.view_as(cells))
        return torch.relu(cell)


class _CrossAttention(_Attention):
    """From hypotheses to the memory: those of a sentence are several queries on one memory."""

    def __call__(self, states: Tensor, memory: Memory, bias: Tensor | None) -> Tensor:
        query = self.project(states).view(len(memory.key), -1, *self.split[1:]).transpose(1, 2)  # [N, H, K, D]
        heads = attend_dense(query, *memory, bias)
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
