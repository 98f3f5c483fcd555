"""Step-by-step decoding in tensors of fixed address and shape, so that a step can be recorded and replayed.

Legend: `N` sentences of the shape, `M` of them still decoded, `K` hypotheses a sentence, `H` heads, `D` head width,
`L` slots of the cache, `S` places of the memory.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional

from translator.attention import Layout
from translator.attention.module import MultiHeadAttention
from translator.attention.padded import to_grid
from translator.model.layers import DecoderLayer
from translator.model.transformer import Transformer


def round_up(size: int, unit: int) -> int:
    """Return the least allowed size of at least `size`: few sizes, so that shapes come back, and none twice too large.

    Allowed are multiples of `unit` up to four of them, and above that the powers of two and what lies half way between
    them, times `unit`: 1, 2, 3, 4, 6, 8, 12, 16, 24 and so on.
    """
    units = -(-size // unit)
    grain = max(1, (1 << (units.bit_length() - 1)) // 2)
    return unit * grain * -(-units // grain)


class StaticTensor:
    """A tensor that changes its shape and stays where it is: a shape always means the same addresses.

    `now` is the tensor, after the first `fill` or `put`.
    """

    now: Tensor

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self._memory = torch.empty(0, dtype=dtype, device=device)

    def reserve(self, *shape: int) -> bool:
        """Make room for `shape`; return whether that moved the tensor, which loses contents and recordings."""
        size = math.prod(shape)
        if size <= self._memory.numel():
            return False
        # Generous, so that batches that differ a little do not move it again and again.
        self._memory = self._memory.new_empty(1 << (size - 1).bit_length())
        return True

    def fill(self, number: float, *shape: int) -> None:
        """Become a tensor of this shape that holds one number."""
        self._become(shape)
        self.now.fill_(number)

    def put(self, values: Tensor, shape: Sequence[int] | None = None, fill: float = 0.0) -> None:
        """Become `values`, which lie elsewhere; in a larger `shape` they stand at the beginning, and `fill` behind."""
        self._become(values.shape if shape is None else shape)
        if self.now.shape != values.shape:
            self.now.fill_(fill)
        self.now[tuple(slice(size) for size in values.shape)] = values

    def _become(self, shape: Sequence[int]) -> None:
        self.now = self._memory[: math.prod(shape)].view(*shape)


def step_to_static_cache(
    attention: MultiHeadAttention, states: Tensor, keys: Tensor, values: Tensor, slots: Tensor, bias: Tensor
) -> Tensor:
    """One decoding step of masked self-attention for `states` `[N, K, d_model]`; returns `[N, K, d_model]`.

    What it adds to `keys` and `values` `[N, H, L, D]` goes into the `slots` `[K]`. `bias` `[N, 1, K, L]` is 0 for the
    slots of a hypothesis's own past, this step included, and -inf for all others, whose contents must be finite.
    """
    query, key, value = (part.transpose(1, 2) for part in attention.project_all(states))  # [N, H, K, D]
    keys.index_copy_(2, slots, key)
    values.index_copy_(2, slots, value)
    return _attend(attention, query, keys, values, bias)


def step_to_static_memory(
    attention: MultiHeadAttention, states: Tensor, keys: Tensor, values: Tensor, bias: Tensor
) -> Tensor:
    """One decoding step of cross-attention for `states` `[N, K, d_model]`; returns `[N, K, d_model]`.

    `keys` and `values` `[N, H, S, D]`; `bias` `[N, 1, 1, S]` is -inf where there is no memory, which must be finite.
    """
    query = attention.project_query(states).transpose(1, 2)  # [N, H, K, D]
    return _attend(attention, query, keys, values, bias)


def _attend(attention: MultiHeadAttention, query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    # One kernel on CUDA, where the explicit product, softmax and product are seven.
    heads = functional.scaled_dot_product_attention(query, keys, values, attn_mask=bias)
    return attention.output(heads.transpose(1, 2).flatten(2))


_UNIT = 32
"""Positions and places of the memory come in multiples of it: fused attention wants the rows of a bias aligned."""


class StepShape(NamedTuple):
    """All that the kernels of a step depend on besides what the tensors hold."""

    sentences: int
    hypotheses: int
    slots: int
    memory: int


class StaticDecoder:
    """The state of one batch at a time and the step that moves it on; in place of `DecoderState` for replayed steps.

    Sentences that are done keep their rows, and rows that nobody needs compute along, finite and unread, until the
    rest fits into half as many. Hypotheses share a cache as in `cache.Ancestry`.
    """

    def __init__(self, model: Transformer, dtype: torch.dtype) -> None:
        """`dtype` is that of projections and logits: what autocast makes of them, where it is used."""
        device = model.output_weight.device
        self._model = model
        self._layers = list(cast(Iterable[DecoderLayer], model.decoder_layers))
        # Keys and values [N, H, L, D] of what was decoded, and those of the memory [N, H, S, D].
        self._caches = [(StaticTensor(dtype, device), StaticTensor(dtype, device)) for _ in self._layers]
        self._memories = [(StaticTensor(dtype, device), StaticTensor(dtype, device)) for _ in self._layers]
        self._memory_bias = StaticTensor(dtype, device)  # [N, 1, 1, S]
        self._ancestry = StaticTensor(dtype, device)  # [N, 1, K, L]
        self._tokens = StaticTensor(torch.int64, device)  # [N, K]
        self._position = StaticTensor(torch.int64, device)  # [1]
        self._slots = StaticTensor(torch.int64, device)  # [K]
        self._states = StaticTensor(dtype, device)  # [N, K, d_model]

    def begin(self, memory: Tensor, layout: Layout, width: int, capacity: int) -> bool:
        """Begin one hypothesis for every sentence, as `InferenceModel.start`; return whether recordings are void.

        `memory` `[S, d_model]` is packed by `layout`. There is no waiting for the device.
        """
        self._width, self._filled, self._length = width, 0, 0
        living = layout.num_sentences
        self.shape = StepShape(round_up(living, 1), 1, self._room_for(1), round_up(layout.max_length, _UNIT))
        most_slots = self._room_for(1 + (capacity - 1) * width)
        moved = self._reserve(self.shape._replace(hypotheses=width, slots=most_slots))
        self._rows = torch.arange(living, device=memory.device)  # [M]
        self._load(memory, layout)
        for pair, size in zip(self._caches, self._cache_sizes(self.shape), strict=True):
            for tensor in pair:
                # A weight of zero does not help against a NaN that an earlier batch has left behind.
                tensor.fill(0.0, *size)
        self._ancestry.fill(-math.inf, self.shape.sentences, 1, 1, self.shape.slots)
        self._size_tokens()
        return moved

    def feed(self, tokens: Tensor) -> None:
        """Prepare the step that appends `tokens` `[M, K]`: the only thing that differs from one replay to the next."""
        hypotheses = tokens.size(1)
        first, self._filled = self._filled, self._filled + hypotheses
        if self._filled > self.shape.slots:
            self._grow()
        self._tokens.now.index_copy_(0, self._rows, tokens)
        self._position.fill(self._length, 1)
        torch.arange(first, self._filled, out=self._slots.now)
        # Of the new slots a hypothesis sees its own.
        self._ancestry.now[..., first : self._filled] = self._own
        self._length += 1

    def run(self) -> None:
        """Compute the step: a function of `shape` and of what the tensors hold; to repeat it changes nothing."""
        model = self._model
        states = model.target_embedding.at(self._tokens.now, self._position.now)  # [N, K, d_model]
        slots, ancestry, memory_bias = self._slots.now, self._ancestry.now, self._memory_bias.now
        for layer, cache, memory in zip(self._layers, self._caches, self._memories, strict=True):
            states = _step(layer, states, _now(cache), _now(memory), slots, ancestry, memory_bias)
        self._states.now.copy_(model.decoder_norm(states))

    def output(self) -> Tensor:
        """Return the decoder's output `[M, K, d_model]` for what was fed."""
        return self._states.now.index_select(0, self._rows)

    def select(self, sentences: Tensor | None, parents: Tensor) -> None:
        """Keep sentences and choose hypotheses anew, as `DecoderState.select`."""
        rows = self._rows if sentences is None else self._rows.index_select(0, sentences)
        # Those whose row nobody reads go on with their first hypothesis.
        everyone = parents.new_zeros(self.shape.sentences, parents.size(1)).index_copy_(0, rows, parents)
        index = everyone[:, None, :, None].expand(-1, 1, -1, self.shape.slots)
        ancestry = self._ancestry.now.gather(2, index)
        size = round_up(len(rows), 1)
        shape = self.shape._replace(hypotheses=parents.size(1))
        if size <= shape.sentences // 2:
            shape = shape._replace(sentences=size)
            kept = _filled_up(rows, size)
            for tensor in (*self._both(self._caches), *self._both(self._memories), self._memory_bias):
                tensor.put(tensor.now.index_select(0, kept))
            ancestry = ancestry.index_select(0, kept)
            rows = torch.arange(len(rows), device=rows.device)
        self._rows = rows
        self._ancestry.put(ancestry)
        if shape != self.shape:
            self.shape = shape
            self._size_tokens()

    def _cache_sizes(self, shape: StepShape) -> list[tuple[int, int, int, int]]:
        """`[N, H, L, D]` for every layer."""
        modules = [layer.self_attention for layer in self._layers]
        return [(shape.sentences, module.num_heads, shape.slots, module.head_dim) for module in modules]

    @staticmethod
    def _both(pairs: list[tuple[StaticTensor, StaticTensor]]) -> Iterable[StaticTensor]:
        return (tensor for pair in pairs for tensor in pair)

    def _room_for(self, slots: int) -> int:
        """The slots of a cache that holds `slots`: an allowed number of positions of all hypotheses."""
        return self._width * round_up(-(-slots // self._width), _UNIT)

    def _reserve(self, largest: StepShape) -> bool:
        sentences, hypotheses, slots, memory = largest
        d_model = self._model.settings.d_model
        moved = []
        for layer, size, cache, projected in zip(
            self._layers, self._cache_sizes(largest), self._caches, self._memories, strict=True
        ):
            moved += [tensor.reserve(*size) for tensor in cache]
            module = layer.cross_attention
            moved += [tensor.reserve(sentences, module.num_heads, memory, module.head_dim) for tensor in projected]
        moved += [
            self._memory_bias.reserve(sentences, memory),
            self._ancestry.reserve(sentences, hypotheses, slots),
            self._tokens.reserve(sentences, hypotheses),
            self._states.reserve(sentences, hypotheses, d_model),
            self._slots.reserve(hypotheses),
            self._position.reserve(1),
        ]
        return any(moved)

    def _load(self, memory: Tensor, layout: Layout) -> None:
        """Project the memory for every layer onto a grid of the shape's size."""
        wide = Layout(layout.offsets, self.shape.memory)
        rows = _filled_up(self._rows, self.shape.sentences)
        hidden = ~wide.mask  # [M, S]
        for layer, pair in zip(self._layers, self._memories, strict=True):
            projected = layer.cross_attention.project_memory(memory, layout)
            for tensor, part in zip(pair, (projected.key, projected.value), strict=True):
                # Pads hold a neighbour's numbers, which need not be finite.
                grid = to_grid(part, wide).masked_fill_(hidden[:, None, :, None], 0.0)
                tensor.put(grid.index_select(0, rows))
        bias = torch.zeros(hidden.shape, device=hidden.device).masked_fill_(hidden, -math.inf)
        self._memory_bias.put(bias.index_select(0, rows)[:, None, None, :])

    def _size_tokens(self) -> None:
        sentences, hypotheses, _, _ = self.shape
        self._tokens.fill(0, sentences, hypotheses)
        self._slots.fill(0, hypotheses)
        self._states.fill(0.0, sentences, hypotheses, self._model.settings.d_model)
        own = torch.full((hypotheses, hypotheses), -math.inf, device=self._rows.device)
        self._own = own.fill_diagonal_(0.0)  # [K, K]

    def _grow(self) -> None:
        """Make room for more slots."""
        self.shape = self.shape._replace(slots=self._room_for(self._filled))
        for pair, size in zip(self._caches, self._cache_sizes(self.shape), strict=True):
            for tensor in pair:
                tensor.put(tensor.now.clone(), size)
        old = self._ancestry.now
        self._ancestry.put(old.clone(), (*old.shape[:3], self.shape.slots), fill=-math.inf)


def _step(
    layer: DecoderLayer,
    states: Tensor,
    cache: tuple[Tensor, Tensor],
    memory: tuple[Tensor, Tensor],
    slots: Tensor,
    ancestry: Tensor,
    memory_bias: Tensor,
) -> Tensor:
    """As a layer of `InferenceModel`."""
    states = layer.self_residual(
        states, lambda x: step_to_static_cache(layer.self_attention, x, *cache, slots, ancestry)
    )
    states = layer.cross_residual(
        states, lambda x: step_to_static_memory(layer.cross_attention, x, *memory, memory_bias)
    )
    return layer.feed_forward_residual(states, layer.feed_forward)


def _now(pair: tuple[StaticTensor, StaticTensor]) -> tuple[Tensor, Tensor]:
    return pair[0].now, pair[1].now


def _filled_up(rows: Tensor, size: int) -> Tensor:
    """Return `size` rows: `rows` `[M]`, and the first of them again for those that are missing."""
    return torch.cat([rows, rows[:1].expand(size - len(rows))])
