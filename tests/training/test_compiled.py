"""Batches of one shape, and the model compiled for it once."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch._dynamo.testing

from translator.attention import Layout, attention_weights, kernels
from translator.config import ModelSettings
from translator.data.batch_plan import plan_epoch
from translator.data.batches import BatchShape, SpecialTokens, make_batch
from translator.model import build_model

SPECIAL_TOKENS = SpecialTokens(source_eos=2, target_bos=1, target_eos=2)


class Pairs:
    """As much of a ParallelDataset as batches need: random pairs."""

    def __init__(self, count: int, longest: int) -> None:
        random = np.random.default_rng(1)
        self.sources = [random.integers(3, 40, random.integers(1, longest + 1)) for _ in range(count)]
        self.targets = [random.integers(3, 40, random.integers(1, longest + 1)) for _ in range(count)]
        self.source_lengths = np.array([len(source) for source in self.sources], dtype=np.int32)
        self.target_lengths = np.array([len(target) for target in self.targets], dtype=np.int32)

    def __len__(self) -> int:
        return len(self.sources)

    def gather(self, indices: np.ndarray) -> Any:
        from translator.data.dataset import Gathered

        sides = []
        for side in (self.sources, self.targets):
            chosen = [side[index] for index in indices]
            sides += [np.concatenate(chosen), np.cumsum([0, *map(len, chosen)])]
        return Gathered(*sides)


def attend_explicitly(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, query_layout: Layout, key_layout: Layout,
    causal: bool,
) -> torch.Tensor:  # fmt: skip
    """What varlen attention computes, of shapes that depend on no data."""
    rows, columns = torch.arange(len(query)), torch.arange(len(key))
    row_sentence = torch.searchsorted(query_layout.offsets[1:], rows, right=True)
    column_sentence = torch.searchsorted(key_layout.offsets[1:], columns, right=True)
    seen = row_sentence[:, None] == column_sentence[None]
    if causal:
        seen = seen & (rows[:, None] >= columns[None])
    scores = torch.einsum("qhd,khd->hqk", query, key) / query.shape[-1] ** 0.5
    weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
    return torch.einsum("hqk,khd->qhd", weights, value)


@pytest.fixture
def varlen_stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(kernels, "choose_kernel", lambda query, dropout=0.0: "varlen")
    monkeypatch.setattr(kernels, "_attend_varlen", attend_explicitly)
    yield
    torch._dynamo.reset()


def test_all_batches_of_a_fixed_shape_are_alike_and_lose_nothing() -> None:
    pairs = Pairs(300, longest=12)
    shape = BatchShape.fixed(pairs, batch_tokens=200, max_length=12)
    plan = plan_epoch(pairs, shape.budget, "random", seed=1, epoch=0)
    assert sorted(np.concatenate(plan).tolist()) == list(range(300))
    sizes, real, whole = set(), 0, 0
    for indices in plan:
        batch = make_batch(pairs, indices, SPECIAL_TOKENS, shape)
        source, target = batch.source, batch.target
        sizes.add((source.tokens.numel(), target.tokens.numel(), source.layout.num_sentences,
                   target.layout.num_sentences, source.layout.max_length, target.layout.max_length))  # fmt: skip
        real, whole = real + batch.target_tokens, whole + target.tokens.numel()
        # Every query, filler too, has something to look at.
        assert (source.layout.lengths[target.layout.lengths > 0] > 0).all()
        assert source.layout.lengths.max() <= 13 and target.layout.lengths.max() <= 13
    assert len(sizes) == 1
    assert real == int(pairs.target_lengths.sum()) + 300
    assert real / whole > 0.85


def test_filler_has_a_source_even_where_the_source_side_is_what_filled_up() -> None:
    pairs = Pairs(64, longest=12)
    pairs.sources, pairs.targets = [np.full(12, 5)] * 64, [np.full(1, 6)] * 64
    pairs.source_lengths, pairs.target_lengths = np.full(64, 12, np.int32), np.full(64, 1, np.int32)
    # Eight sources with their EOS would fill the source side to the last token.
    shape = BatchShape(source_tokens=8 * 13, target_tokens=200, sentences=64, max_length=13)
    for indices in plan_epoch(pairs, shape.budget, "random", seed=1, epoch=0):
        batch = make_batch(pairs, indices, SPECIAL_TOKENS, shape)
        assert (batch.source.layout.lengths[batch.target.layout.lengths > 0] > 0).all()
        assert (batch.source.tokens.numel(), batch.target.tokens.numel()) == (104, 200)


def test_filler_changes_no_output_and_no_gradient() -> None:
    pairs = Pairs(9, longest=12)
    model = build_model(ModelSettings(encoder_layers=1, decoder_layers=1, d_model=16, d_ff=16, num_heads=2,
                                      dropout=0.0), 40, 40, seed=1)  # fmt: skip
    gradients = []
    for shape in (None, BatchShape(), BatchShape.fixed(pairs, 150, 12)):
        batch = make_batch(pairs, np.arange(9), SPECIAL_TOKENS, shape)
        states = model(batch.source, batch.target)[: batch.target_tokens]
        gradients.append([states, *torch.autograd.grad((states * states.detach().cos()).sum(), model.parameters())])
    for others in gradients[1:]:
        for plain, filled in zip(gradients[0], others, strict=True):
            torch.testing.assert_close(filled, plain, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_the_model_is_one_graph_and_is_compiled_once(varlen_stand_in: None) -> None:
    pairs = Pairs(60, longest=12)
    shape = BatchShape.fixed(pairs, batch_tokens=120, max_length=12)
    model = build_model(ModelSettings(encoder_layers=1, decoder_layers=1, d_model=16, d_ff=16, num_heads=2,
                                      dropout=0.0), 40, 40, seed=1)  # fmt: skip
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(model, dynamic=False, fullgraph=True, backend=counter)
    for indices in plan_epoch(pairs, shape.budget, "random", 1, 0):
        batch = make_batch(pairs, indices, SPECIAL_TOKENS, shape)
        torch.testing.assert_close(compiled(batch.source, batch.target), model(batch.source, batch.target))
    assert counter.frame_count == 1


def test_the_stand_in_is_varlen_attention() -> None:
    layout = Layout(torch.tensor([0, 3, 3, 5], dtype=torch.int32), 3)
    query, key, value = torch.randn(3, 5, 2, 4).unbind(0)
    weights = attention_weights(query, key, layout, layout, causal=True)
    output = attend_explicitly(query, key, value, layout, layout, causal=True)
    torch.testing.assert_close(output[3:], torch.einsum("hqk,khd->qhd", weights[2, :, :2, :2], value[3:]))


def test_only_batches_of_one_shape_are_compiled_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from translator.config import load_config, resolve_preset
    from translator.runtime.device import choose_machine
    from translator.training.batch_loader import should_compile

    machine = choose_machine("cpu", "fp32")
    said: list[str] = []
    monkeypatch.setattr("translator.training.batch_loader.say", said.append)

    def compiles(*words: str) -> bool:
        config = resolve_preset(load_config(None, ["preset=tiny", *words]))
        return should_compile(config.compile, config.training, machine)

    assert not compiles("training.order=random")
    assert compiles("training.order=random", "compile=true")
    assert not said
    assert not compiles("compile=true")
    assert "training.order=random" in said[0]
