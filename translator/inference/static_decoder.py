"""The state of decoding in tensors of fixed address and shape, so that a step can be recorded and replayed.

Legend (docs/shapes.md): `N` sentences of the shape, `M` of them still decoded, `K` hypotheses a sentence, `H` heads,
`D` head width, `W` slots of the cache, `L` positions of the memory, `S` source tokens.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from translator.attention import Layout
from translator.attention.padded import to_grid
from translator.inference.cache import Memory
from translator.inference.model import InferenceModel, StepCache
from translator.inference.past import StepPast
from translator.inference.static_tensor import StaticTensor, round_up

_UNIT = 32
"""Slots and positions of the memory come in multiples of it: fused attention wants the rows of a bias aligned."""


class StepShape(NamedTuple):
    """All that the kernels of a step depend on besides what the tensors hold."""

    sentences: int
    hypotheses: int
    slots: int
    memory: int


class StaticLayerCache:
    """`PastCache` in a tensor of fixed address."""

    def __init__(self, keys_values: Tensor, slots: Tensor) -> None:
        """`keys_values` `[2, N, H, W, D]`; those of this step go into the `slots` `[K]`."""
        self.key, self.value = keys_values.unbind()
        self._all, self._slots = keys_values, slots

    def put(self, keys_values: Tensor) -> None:
        """See `PastCache`."""
        self._all.index_copy_(3, self._slots, keys_values)


class StaticDecoder:
    """The state of one batch at a time, in place of `DecoderState`, and the steps of a model on it.

    Sentences that are done keep their rows. Rows that nobody reads are computed all the same, with finite numbers,
    until the sentences that are left fit into half as many rows. Hypotheses share a cache as in `Ancestry`.
    """

    def __init__(self, model: InferenceModel, dtype: torch.dtype) -> None:
        """`dtype` is what the model's matrix products return."""
        device = model.device
        self._model = model
        # By layer: keys and values of what was decoded [2, N, H, W, D], and of the memory [2, N, H, L, D].
        self._caches = [StaticTensor(dtype, device) for _ in model.past_heads]
        self._memories = [StaticTensor(dtype, device) for _ in model.memory_heads]
        self._memory_bias = StaticTensor(dtype, device)  # [N, 1, 1, L]
        self._ancestry = StaticTensor(dtype, device)  # [N, 1, K, W]
        self._tokens = StaticTensor(torch.int64, device)  # [N, K]
        self._position = StaticTensor(torch.int64, device)  # [1]
        self._slots = StaticTensor(torch.int64, device)  # [K]
        self._states = StaticTensor(dtype, device)  # [N, K, d_model]

    def begin(self, memory: Tensor, layout: Layout, width: int, capacity: int) -> bool:
        """Begin one hypothesis for every sentence, as `InferenceModel.start`; return whether recordings are void.

        `memory` `[S, d_model]` is packed by `layout`. Nothing waits for the device.
        """
        self._width, self._filled, self._length = width, 0, 0
        living = layout.num_sentences
        self.shape = StepShape(round_up(living, 1), 1, self._room_for(1), round_up(layout.max_length, _UNIT))
        most_slots = self._room_for(1 + (capacity - 1) * width)
        moved = self._reserve(self.shape._replace(hypotheses=width, slots=most_slots))
        self._rows = torch.arange(living, device=memory.device)  # [M]
        self._load(memory, layout)
        for cache, size in zip(self._caches, self._cache_sizes(self.shape), strict=True):
            # A weight of zero does not help against a NaN that an earlier batch has left in a slot.
            cache.fill(0.0, *size)
        self._ancestry.fill(-math.inf, self.shape.sentences, 1, 1, self.shape.slots)
        self._size_tokens()
        return moved

    def feed(self, tokens: Tensor) -> None:
        """Prepare the step that appends `tokens` `[M, K]`: all that differs from one replay to the next."""
        hypotheses = tokens.size(1)
        first, self._filled = self._filled, self._filled + hypotheses
        if self._filled > self.shape.slots:
            self._grow()
        self._tokens.now.index_copy_(0, self._rows, tokens)
        self._position.fill(self._length, 1)
        torch.arange(first, self._filled, out=self._slots.now)
        # Of the new slots each hypothesis sees its own.
        self._ancestry.now[..., first : self._filled] = self._own
        self._length += 1

    def run(self) -> None:
        """Compute the step, a function of `shape` and of what the tensors hold: repeating it changes nothing."""
        past = [StaticLayerCache(cache.now, self._slots.now) for cache in self._caches]
        memory = [Memory(*memory.now.unbind()) for memory in self._memories]
        step = StepCache(self._position.now, StepPast(past, self._ancestry.now), memory, self._memory_bias.now)
        self._states.now.copy_(self._model.decode(self._tokens.now, step))

    def output(self) -> Tensor:
        """Return the decoder's output `[M, K, d_model]` for what was fed."""
        return self._states.now.index_select(0, self._rows)

    def select(self, sentences: Tensor | None, parents: Tensor) -> None:
        """Keep sentences and choose their hypotheses again, as `DecoderState.select`."""
        rows = self._rows if sentences is None else self._rows.index_select(0, sentences)
        # The rows that nobody reads continue their first hypothesis.
        of_rows = parents.new_zeros(self.shape.sentences, parents.size(1)).index_copy_(0, rows, parents)
        index = of_rows[:, None, :, None].expand(-1, 1, -1, self.shape.slots)
        ancestry = self._ancestry.now.gather(2, index)
        size = round_up(len(rows), 1)
        shape = self.shape._replace(hypotheses=parents.size(1))
        if size <= shape.sentences // 2:
            shape = shape._replace(sentences=size)
            kept = _filled_up(rows, size)
            for tensor in (*self._caches, *self._memories):
                tensor.put(tensor.now.index_select(1, kept))
            self._memory_bias.put(self._memory_bias.now.index_select(0, kept))
            ancestry = ancestry.index_select(0, kept)
            rows = torch.arange(len(rows), device=rows.device)
        self._rows = rows
        self._ancestry.put(ancestry)
        if shape != self.shape:
            self.shape = shape
            self._size_tokens()

    def _cache_sizes(self, shape: StepShape) -> list[tuple[int, int, int, int, int]]:
        """`[2, N, H, W, D]` for every layer."""
        return [(2, shape.sentences, heads, shape.slots, self._model.head_dim) for heads in self._model.past_heads]

    def _room_for(self, slots: int) -> int:
        """The slots of a cache that holds `slots`: an allowed number of positions of all hypotheses."""
        return self._width * round_up(-(-slots // self._width), _UNIT)

    def _reserve(self, largest: StepShape) -> bool:
        sentences, hypotheses, slots, positions = largest
        model = self._model
        moved = [
            *(cache.reserve(*size) for cache, size in zip(self._caches, self._cache_sizes(largest), strict=True)),
            *(
                memory.reserve(2, sentences, heads, positions, model.head_dim)
                for memory, heads in zip(self._memories, model.memory_heads, strict=True)
            ),
            self._memory_bias.reserve(sentences, positions),
            self._ancestry.reserve(sentences, hypotheses, slots),
            self._tokens.reserve(sentences, hypotheses),
            self._states.reserve(sentences, hypotheses, model.d_model),
            self._slots.reserve(hypotheses),
            self._position.reserve(1),
        ]
        return any(moved)

    def _load(self, memory: Tensor, layout: Layout) -> None:
        """Project the memory for every layer onto a grid of the shape's size."""
        model, wide = self._model, Layout(layout.offsets, self.shape.memory)
        rows = _filled_up(self._rows, self.shape.sentences)
        hidden = ~wide.mask  # [M, L]
        for project, heads, tensor in zip(model.memory_projections, model.memory_heads, self._memories, strict=True):
            projected = project(memory).view(-1, 2 * heads, model.head_dim)  # [S, 2 * H, D]
            # Pads hold a neighbour's numbers, which need not be finite.
            grid = to_grid(projected, wide).masked_fill_(hidden[:, None, :, None], 0.0)  # [M, 2 * H, L, D]
            tensor.put(grid.view(len(grid), 2, heads, *grid.shape[2:]).transpose(0, 1).index_select(1, rows))
        bias = torch.zeros(hidden.shape, device=hidden.device).masked_fill_(hidden, -math.inf)
        self._memory_bias.put(bias.index_select(0, rows)[:, None, None, :])

    def _size_tokens(self) -> None:
        sentences, hypotheses, _, _ = self.shape
        self._tokens.fill(0, sentences, hypotheses)
        self._slots.fill(0, hypotheses)
        self._states.fill(0.0, sentences, hypotheses, self._model.d_model)
        own = torch.full((hypotheses, hypotheses), -math.inf, device=self._rows.device)
        self._own = own.fill_diagonal_(0.0)  # [K, K]

    def _grow(self) -> None:
        """Make room for more slots."""
        self.shape = self.shape._replace(slots=self._room_for(self._filled))
        for cache, size in zip(self._caches, self._cache_sizes(self.shape), strict=True):
            cache.put(cache.now.clone(), size)
        old = self._ancestry.now
        self._ancestry.put(old.clone(), (*old.shape[:3], self.shape.slots), fill=-math.inf)


def _filled_up(rows: Tensor, size: int) -> Tensor:
    """Return `size` rows: `rows` `[M]`, and then the first of them as often as rows are missing."""
    return torch.cat([rows, rows[:1].expand(size - len(rows))])
