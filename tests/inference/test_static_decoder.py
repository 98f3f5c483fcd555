"""Decoding in tensors of fixed address against decoding in tensors that grow."""

import math
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from translator.attention import Layout
from translator.attention.layout import pack
from translator.config import ModelSettings
from translator.inference import InferenceModel
from translator.inference.static_decoder import StaticDecoder, StepShape
from translator.model import Transformer, build_model


def model_of(**changes: Any) -> Transformer:
    shape = {"encoder_layers": 1, "decoder_layers": 2, "d_model": 16, "d_ff": 24, "num_heads": 2, "max_positions": 200}
    return build_model(ModelSettings(**(shape | changes)), 30, 30, seed=1).eval()


def begin(model: Transformer, sources: list[list[int]], width: int, capacity: int) -> tuple[StaticDecoder, Any]:
    source = pack(sources)
    memory = model.encode(source)
    decoder = StaticDecoder(InferenceModel(model), torch.float32)
    assert decoder.begin(memory, source.layout, width, capacity)
    return decoder, InferenceModel(model).start(memory, source.layout, width, capacity)


def step(decoder: StaticDecoder, tokens: Tensor) -> Tensor:
    decoder.feed(tokens)
    decoder.run()
    return decoder.output()


@given(data=st.data(), norm=st.sampled_from(["pre", "post"]), positions=st.sampled_from(["sinusoidal", "learned"]))
@settings(max_examples=25, deadline=None)
@torch.inference_mode()
def test_any_steps_give_the_states_of_a_growing_cache(data: st.DataObject, norm: str, positions: str) -> None:
    """Sentences of any lengths; hypotheses multiply, are reordered and leave; over several sizes of the cache."""
    heads = data.draw(st.sampled_from([{}, {"decoder_heads": [1, 3], "cross_heads": [2, 1]}]))
    model = model_of(norm=norm, positions=positions, head_dim=data.draw(st.sampled_from([4, 8])), **heads)
    lengths = data.draw(st.lists(st.integers(1, 70), min_size=1, max_size=9))
    sources = [[2 + (7 * index + length) % 28 for index in range(length)] for length in lengths]
    width, capacity = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 80))
    decoder, state = begin(model, sources, width, capacity)
    random = torch.Generator().manual_seed(data.draw(st.integers(0, 999)))
    living, hypotheses = len(sources), 1
    for _ in range(capacity):
        tokens = torch.randint(30, (living, hypotheses), generator=random)
        expected = InferenceModel(model).step(tokens, state)
        torch.testing.assert_close(step(decoder, tokens), expected, rtol=1e-5, atol=1e-5)
        before, others = hypotheses, torch.rand((), generator=random) < 0.8
        hypotheses = int(torch.randint(1, width + 1, (), generator=random)) if others or hypotheses < 2 else hypotheses
        sentences = None
        if living > 1 and torch.rand((), generator=random) < 0.2:
            sentences = torch.randperm(living, generator=random)[: max(1, living - 2)].sort().values
            living = len(sentences)
        parents = torch.randint(before, (living, hypotheses), generator=random)
        decoder.select(sentences, parents)
        state = state.select(sentences, parents)


@torch.inference_mode()
def test_sizes_follow_what_is_left() -> None:
    model = model_of()
    decoder, _ = begin(model, [[5] * 3] * 9 + [[5] * 40], 2, 60)
    assert decoder.shape == StepShape(sentences=12, hypotheses=1, slots=64, memory=64)
    step(decoder, torch.ones(10, 1, dtype=torch.int64))
    decoder.select(torch.arange(7), torch.zeros(7, 2, dtype=torch.int64))
    assert decoder.shape == StepShape(sentences=12, hypotheses=2, slots=64, memory=64)
    decoder.select(torch.arange(6), torch.zeros(6, 2, dtype=torch.int64))
    assert decoder.shape == StepShape(sentences=6, hypotheses=2, slots=64, memory=64)
    for _ in range(32):
        assert decoder.shape.slots == 64
        assert step(decoder, torch.ones(6, 2, dtype=torch.int64)).shape == (6, 2, 16)
    assert decoder.shape == StepShape(sentences=6, hypotheses=2, slots=128, memory=64)


def poison(decoder: StaticDecoder, first_row: int = 0, everywhere: bool = False) -> None:
    """Put NaN into the rows from `first_row` on, or into all storage that tensors ever had."""
    by_row = [(tensor, 0) for tensor in (decoder._memory_bias, decoder._ancestry, decoder._states)]
    for tensor, axis in (*((tensor, 1) for tensor in (*decoder._caches, *decoder._memories)), *by_row):
        rows = tensor.now.narrow(axis, first_row, tensor.now.size(axis) - first_row)
        (tensor._storage if everywhere else rows).fill_(math.nan)


@torch.inference_mode()
def test_unread_rows_and_earlier_batches_do_not_reach_any_sentence() -> None:
    model = model_of()
    sources = [[3, 4, 5], [6], [7, 8], [9, 9, 9, 9], [10, 11]]
    source = pack(sources)
    memory = model.encode(source)
    decoder, state = begin(model, sources, 3, 50)
    poison(decoder, everywhere=True)
    assert not decoder.begin(memory, source.layout, 3, 50)
    poison(decoder, first_row=5)
    tokens = torch.tensor([[1], [2], [3], [4], [5]])
    parents = torch.zeros(5, 3, dtype=torch.int64)
    for _ in range(40):
        expected = InferenceModel(model).step(tokens, state)
        torch.testing.assert_close(step(decoder, tokens), expected, rtol=1e-5, atol=1e-5)
        decoder.select(None, parents)
        state = state.select(None, parents)
        tokens, parents = torch.randint(30, (5, 3)), torch.randint(3, (5, 3))


@torch.inference_mode()
def test_a_sentence_whose_numbers_went_wrong_leaves_its_neighbours_alone() -> None:
    model = model_of()
    source = pack([[3, 4, 5], [6], [7, 8]])
    memory = model.encode(source)
    tokens = torch.tensor([[1], [1], [1]])
    growing = InferenceModel(model)
    expected = growing.step(tokens, growing.start(memory, source.layout, 1, 4))
    memory[3] = math.nan
    decoder = StaticDecoder(growing, torch.float32)
    decoder.begin(memory, source.layout, 1, 4)
    found = step(decoder, tokens)
    torch.testing.assert_close(found[[0, 2]], expected[[0, 2]], rtol=1e-5, atol=1e-5)
    assert found[1].isnan().all()


@torch.inference_mode()
def test_a_step_that_runs_again_is_the_same_step() -> None:
    decoder, state = begin(model_of(), [[3, 4, 5], [6]], 2, 5)
    tokens = torch.tensor([[1], [2]])
    first = step(decoder, tokens)
    decoder.run()
    assert torch.equal(decoder.output(), first)
    decoder.select(None, torch.zeros(2, 2, dtype=torch.int64))
    state.length = 0
    second = step(decoder, torch.tensor([[4, 5], [6, 7]]))
    decoder.run()
    assert torch.equal(decoder.output(), second)


class OneDevice(TorchDispatchMode):
    """Allows no tensor on any device but meta."""

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        result = function(*arguments, **(options or {}))
        for tensor in (*arguments, result):
            assert not isinstance(tensor, Tensor) or tensor.device.type == "meta", function
        return result


@torch.inference_mode()
def test_no_step_asks_for_numbers_or_leaves_the_device() -> None:
    """Nothing can wait for tensors without contents, and no shape can depend on them."""
    model = model_of().to("meta")
    offsets = torch.empty(6, dtype=torch.int32, device="meta")
    memory = torch.empty(20, 16, device="meta")
    decoder = StaticDecoder(InferenceModel(model), torch.float32)
    index = {"dtype": torch.int64, "device": "meta"}
    with OneDevice():
        assert decoder.begin(memory, Layout(offsets, 7), 3, 40)
        assert step(decoder, torch.empty(5, 1, **index)).shape == (5, 1, 16)
        decoder.select(None, torch.empty(5, 3, **index))
        assert step(decoder, torch.empty(5, 3, **index)).shape == (5, 3, 16)
        decoder.select(torch.empty(2, **index), torch.empty(2, 3, **index))
        for _ in range(35):
            assert step(decoder, torch.empty(2, 3, **index)).shape == (2, 3, 16)
    assert decoder.shape == StepShape(sentences=2, hypotheses=3, slots=192, memory=32)
