"""Batches of one shape, and the model compiled for it once."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.varlen_on_cpu import Graphs, graphs, varlen_on_cpu
from translator.attention import Layout, Packed, attend, attention_weights, kernels
from translator.attention import padded as padded_module
from translator.checkpoints import RunDirectory, read_checkpoint
from translator.config import Config, ModelSettings, TrainingSettings, load_config, resolve_preset
from translator.data.batch_plan import plan_epoch, split_by_budget
from translator.data.batches import BatchShape, SpecialTokens, make_batch
from translator.data.mixture import Mixture
from translator.model import Transformer, build_model
from translator.runtime import device
from translator.runtime.device import Machine, choose_machine
from translator.training.compilation import CompiledForward, choose_order, should_compile
from translator.training.state import TrainingState
from translator.training.update import Updater

__all__ = ["graphs", "varlen_on_cpu"]

Call = Callable[..., tuple[int, str, str]]

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
    assert real / whole > 0.93


@pytest.mark.parametrize("target_tokens", [200, 2000])
def test_filler_has_a_source_even_where_the_source_side_is_what_filled_up(target_tokens: int) -> None:
    pairs = Pairs(64, longest=12)
    pairs.sources, pairs.targets = [np.full(12, 5)] * 64, [np.full(1, 6)] * 64
    pairs.source_lengths, pairs.target_lengths = np.full(64, 12, np.int32), np.full(64, 1, np.int32)
    # Sources with their EOS would fill the source side to the last token; at 2,000 tokens, filler is 154 sentences.
    shape = BatchShape(source_tokens=20 * 13, target_tokens=target_tokens, sentences=256, max_length=13)
    for indices in plan_epoch(pairs, shape.budget, "random", seed=1, epoch=0):
        batch = make_batch(pairs, indices, SPECIAL_TOKENS, shape)
        assert (batch.source.layout.lengths[batch.target.layout.lengths > 0] > 0).all()
        assert (batch.source.tokens.numel(), batch.target.tokens.numel()) == (260, target_tokens)


def test_the_shape_follows_the_mixture_of_corpora() -> None:
    pairs = Pairs(400, longest=40)
    # Ten times as many short sources as long ones, of which an epoch has more.
    pairs.source_lengths = np.where(np.arange(400) < 360, 10, 40).astype(np.int32)
    pairs.target_lengths = np.full(400, 20, np.int32)
    mixture = Mixture.of([360, 40], weights=[1.0, 9.0])
    assert np.bincount(mixture.draw(np.random.default_rng(1)), minlength=400).mean() == mixture.passes.mean() == 1.0
    fills = []
    for each in (mixture, None):
        shape = BatchShape.fixed(pairs, 1000, 40, each)
        plan = plan_epoch(pairs, shape.budget, "random", 1, 0, mixture)[:-1]
        fills.append(np.mean([21 * len(indices) / shape.target_tokens for indices in plan]))
    assert fills[0] > 0.9 and fills[1] < 0.6


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


@pytest.mark.parametrize(("batch_tokens", "least"), [(25_000, 0.99), (4096, 0.97)])
def test_filler_is_less_than_a_hundredth_whatever_the_longest_sentence(batch_tokens: int, least: float) -> None:
    """Lengths as in news: 27 tokens on average, a few of hundreds, and sources that are a little longer."""
    random = np.random.default_rng(2)
    lengths = np.maximum(random.lognormal(3.1, 0.6, 20_000), 1.0)
    sources = np.maximum(lengths * random.normal(1.1, 0.15, len(lengths)), 1.0)
    for longest in range(32, 1025):
        pairs = Lengths(np.minimum(sources, longest), np.minimum(lengths, longest))
        shape = BatchShape.fixed(pairs, batch_tokens, longest)  # type: ignore[arg-type]
        batches = list(split_by_budget(pairs, np.arange(len(lengths)), shape.budget))[:-1]  # type: ignore[arg-type]
        target = float(np.mean([(pairs.target_lengths[rows] + 1).sum() for rows in batches]))
        source = float(np.mean([(pairs.source_lengths[rows] + 1).sum() for rows in batches]))
        both = (target + source) / (shape.target_tokens + shape.source_tokens)
        assert target / shape.target_tokens > 0.99 and both > least, (longest, target, source)


class Lengths:
    """The lengths of a data set, which is all that a plan looks at."""

    def __init__(self, sources: np.ndarray, targets: np.ndarray) -> None:
        self.source_lengths, self.target_lengths = sources.astype(np.int32), targets.astype(np.int32)

    def __len__(self) -> int:
        return len(self.source_lengths)


def settings_of(*words: str) -> Config:
    return resolve_preset(load_config(None, ["preset=tiny", *words]))


def small_model(**settings: Any) -> Transformer:
    shape = ModelSettings(encoder_layers=2, decoder_layers=2, d_model=16, d_ff=16, num_heads=2, **settings)
    return build_model(shape, 40, 40, seed=1)


@pytest.mark.usefixtures("varlen_on_cpu")
def test_the_stand_in_is_varlen_attention() -> None:
    layout = Layout(torch.tensor([0, 3, 3, 5], dtype=torch.int32), 3)
    query, key, value = (each.requires_grad_() for each in torch.randn(3, 5, 2, 4).unbind(0))
    weights = attention_weights(query, key, layout, layout, causal=True)
    expected = torch.cat([torch.einsum("hqk,khd->qhd", weights[0], value[:3]),
                          torch.einsum("hqk,khd->qhd", weights[2, :, :2, :2], value[3:])])  # fmt: skip
    output = attend(query, key, value, layout, layout, causal=True)
    torch.testing.assert_close(output, expected)
    for found, wanted in zip(*(torch.autograd.grad(each.cos().sum(), (query, key, value), retain_graph=True)
                               for each in (output, expected)), strict=True):  # fmt: skip
        torch.testing.assert_close(found, wanted)


@pytest.mark.usefixtures("varlen_on_cpu")
@pytest.mark.parametrize("by_layer", [False, True])
def test_the_model_is_compiled_once_whole_or_once_for_each_kind_of_layer(by_layer: bool, graphs: Graphs) -> None:
    pairs = Pairs(60, longest=12)
    shape = BatchShape.fixed(pairs, batch_tokens=120, max_length=12)  # type: ignore[arg-type]
    model = small_model(dropout=0.0)
    compiled = CompiledForward(model, by_layer)
    for indices in plan_epoch(pairs, shape.budget, "random", 1, 0):  # type: ignore[arg-type]
        batch = make_batch(pairs, indices, SPECIAL_TOKENS, shape)
        found, expected = (forward(batch.source, batch.target) for forward in (compiled, model))
        torch.testing.assert_close(found, expected)
        for mine, reference in zip(*(torch.autograd.grad(states.cos().sum(), list(model.parameters()))
                                     for states in (found, expected)), strict=True):  # fmt: skip
            torch.testing.assert_close(mine, reference, atol=1e-5, rtol=1e-4)
    assert (graphs.count, graphs.breaks()) == (2 if by_layer else 1, {})
    # Validation calls the model itself, in any shape, and compiles nothing.
    small = make_batch(pairs, np.arange(3), SPECIAL_TOKENS)
    model.eval()(small.source, small.target)
    assert graphs.count == (2 if by_layer else 1)


TRAINING = (
    "training.adam_epsilon=1e-3", "model.dropout=0", "precision=fp32", "device=cpu", "training.ema_decay=0.5",
    "training.order=random",
)  # fmt: skip


@pytest.mark.usefixtures("varlen_on_cpu")
def test_compiled_training_is_plain_training(settings_file: Path, call_program: Call, graphs: Graphs) -> None:
    """Through the front door, over validations with swapped weights: one graph, and the same loss and weights."""
    run = settings_file.parent / "run"
    found = {}
    for compiled in ("true", "false"):
        into = f"run={run}-{compiled}"
        code, _, errors = call_program("train", settings_file, *TRAINING, f"compile={compiled}", into)
        assert code == 0, errors
        assert ("the model is being compiled" in errors) == (compiled == "true")
        found[compiled] = read_checkpoint(RunDirectory(Path(f"{run}-{compiled}")).checkpoint(12))
    assert (graphs.count, graphs.breaks()) == (1, {})
    for name, weight in found["false"].weights.items():
        torch.testing.assert_close(found["true"].weights[name], weight, atol=2e-4, rtol=1e-3)
    losses = [[entry["loss"] for entry in each.state["history"]] for each in found.values()]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3) and len(losses[0]) == 3


@pytest.mark.usefixtures("varlen_on_cpu")
def test_sizes_are_tried_before_the_one_that_is_taken_is_compiled(
    settings_file: Path, call_program: Call, graphs: Graphs, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, sizes = Transformer.forward, set()

    def limited(self: Transformer, source: Packed, target: Packed) -> torch.Tensor:
        if self.training and not torch.compiler.is_compiling():
            sizes.add(target.tokens.numel())
            if target.tokens.numel() > 1000:
                raise torch.OutOfMemoryError("out of memory, says the test")
        return forward(self, source, target)

    monkeypatch.setattr(Transformer, "forward", limited)
    settings = (*TRAINING, "compile=true", "training.batch_tokens=auto", "training.max_steps=4")
    code, _, errors = call_program("train", settings_file, *settings)
    assert code == 0, errors
    assert "training.batch_tokens: 960 is the largest that fits" in errors
    assert {512, 1024, 768, 960} <= sizes
    assert (graphs.count, graphs.breaks()) == (1, {}) and 960 in graphs.sizes and 512 not in graphs.sizes


@pytest.mark.usefixtures("varlen_on_cpu")
def test_a_compiler_that_fails_is_explained(
    settings_file: Path, call_program: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no C compiler was found, says the test")

    compile_model = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model, **options: compile_model(model, backend=fail, **options))
    code, _, errors = call_program("train", settings_file, *TRAINING, "compile=true")
    assert code == 1 and "Traceback" not in errors
    assert "error: the model could not be compiled" in errors and "says the test); compile=false trains" in errors
    torch._dynamo.reset()


@pytest.mark.usefixtures("varlen_on_cpu")
def test_halves_of_a_batch_that_does_not_fit_are_not_compiled(graphs: Graphs, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = Pairs(60, longest=12)
    shape = BatchShape.fixed(pairs, batch_tokens=120, max_length=12)  # type: ignore[arg-type]
    training = TrainingSettings()
    machine = Machine(torch.device("cpu"), "fp32")
    update = Updater(TrainingState.initial(small_model().train(), training, machine), training, machine)
    update.compile()
    plan = plan_epoch(pairs, shape.budget, "random", 1, 0)  # type: ignore[arg-type]
    batches = [make_batch(pairs, indices, SPECIAL_TOKENS, shape) for indices in plan]
    update(batches[:1])
    failing = [True]
    compiled = update._forward

    def fail_once(source: Packed, target: Packed) -> torch.Tensor:
        if failing.pop() if failing else False:
            raise torch.OutOfMemoryError("out of memory, says the test")
        return compiled(source, target)

    monkeypatch.setattr(update, "_forward", fail_once)
    for batch in batches:
        assert update([batch]).target_tokens == batch.target_tokens
    assert not failing and graphs.count == 1


@pytest.mark.parametrize(
    ("device_type", "r_drop", "compiled"), [("cuda", 0.0, True), ("cuda", 5.0, False), ("cpu", 0.0, False)]
)
def test_chunks_of_the_loss_are_compiled_with_the_model_on_cuda(
    device_type: str, r_drop: float, compiled: bool, graphs: Graphs
) -> None:
    settings = TrainingSettings(r_drop=r_drop)
    state = TrainingState.initial(small_model().train(), settings, Machine(torch.device("cpu"), "fp32"))
    update = Updater(state, settings, Machine(torch.device(device_type), "fp32"))
    assert update._loss.keywords.get("kernel") is None
    update.compile()
    kernel = update._loss.keywords.get("kernel")
    assert (kernel is not None) == compiled
    if kernel is not None:
        chunk = kernel.compute(torch.randn(4, 8), torch.randn(9, 8), torch.zeros(4, 1, dtype=torch.int64), 0.1)
        assert chunk.error.shape == (4, 9) and graphs.count == 1


@pytest.mark.parametrize(
    ("capability", "precision", "words", "compiles"),
    [
        ((9, 0), "bf16", [], True),
        ((8, 0), "fp16", [], True),
        ((7, 5), "fp16", [], False),
        ((7, 0), "fp16", ["compile=true"], False),
        ((9, 0), "fp32", [], False),
        ((9, 0), "bf16", ["model.attention_dropout=0.1"], False),
        ((9, 0), "bf16", ["model.head_dim=12"], False),
        ((9, 0), "bf16", ["training.order=bucketed"], False),
        ((9, 0), "bf16", ["compile=false"], False),
    ],
)
def test_the_model_is_compiled_for_random_batches_where_attention_is_varlen(
    capability: tuple[int, int], precision: str, words: list[str], compiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "a device")
    said: list[str] = []
    monkeypatch.setattr("translator.training.compilation.say", said.append)
    machine = Machine(torch.device("cuda:0"), precision)
    config = choose_order(settings_of(*words), machine)
    assert config.training.order == ("random" if compiles else "bucketed")
    assert should_compile(config, machine) == compiles
    assert len(said) == (not compiles and words != ["compile=false"])
    if said and "training.order=bucketed" not in words:
        assert "compute capability 8.0" in said[0]


def test_on_the_cpu_batches_are_bucketed_and_a_wish_to_compile_is_answered() -> None:
    machine = choose_machine("cpu", "fp32")
    for words in ((), ("compile=true",)):
        config = choose_order(settings_of(*words), machine)
        assert config.training.order == "bucketed" and not should_compile(config, machine)


def test_the_order_is_kept_for_the_run(begun: Path, monkeypatch: pytest.MonkeyPatch, call_program: Call) -> None:
    text = (begun.parent / "run" / "config.yaml").read_text()
    assert "order: bucketed" in text
    # As it would be chosen on another device.
    module = sys.modules["translator.training.train"]
    monkeypatch.setattr(module, "choose_order", lambda config, machine: config)
    assert call_program("train", begun, "training.max_steps=5")[0] == 0
    assert "order: bucketed" in (begun.parent / "run" / "config.yaml").read_text()


def test_the_capability_is_not_traced(graphs: Graphs, monkeypatch: pytest.MonkeyPatch) -> None:
    def untraceable(*_: object) -> tuple[int, int]:
        return (8, 0) if Path.cwd().exists() else (0, 0)

    monkeypatch.setattr(torch.cuda, "get_device_capability", untraceable)
    CompiledForward(small_model())

    def choose(values: torch.Tensor) -> torch.Tensor:
        return values + 1 if device.has_flash_attention(torch.device("cuda:0"), torch.bfloat16) else values

    assert torch.compile(choose)(torch.zeros(())) == 1
    assert (graphs.count, graphs.breaks()) == (1, {})


def saved_bytes(shape: BatchShape, batch: Any, padded: bool, monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes that the forward pass of base keeps for backward, on meta tensors."""
    monkeypatch.setattr(kernels, "takes_varlen", lambda *_: not padded)
    # As on CUDA; there is no autocast for meta tensors.
    monkeypatch.setattr(kernels, "attend_padded", padded_module._PaddedAttention.apply)
    monkeypatch.setattr(padded_module, "softmax_grid", lambda scores, bias: scores.softmax(-1))
    settings = resolve_preset(load_config(None, ["preset=base", "model.dropout=0"])).model
    with torch.device("meta"):
        model = Transformer(settings, 1000, 1000)
    sides = [on_meta(side) for side in (batch.source, batch.target)]
    saved: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            storage = tensor.untyped_storage()
            saved[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        states = model(*sides)
    assert states.requires_grad
    return sum(saved.values())


def on_meta(side: Packed) -> Packed:
    """The batch without its values; what the padded kernel derives from them has the shapes that it would have."""
    cells, tokens = side.layout.num_sentences * side.layout.max_length, side.tokens.numel()
    layout = Layout(side.layout.offsets.to("meta"), side.layout.max_length)
    for name, size in {"rows": cells, "cells": tokens, "pads": cells - tokens}.items():
        setattr(layout, name, torch.empty(size, dtype=torch.int64, device="meta"))
    return Packed(side.tokens.to("meta"), layout)


def test_the_padded_kernel_never_gets_the_fixed_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """On batches of one shape its grid is as wide as the longest sentence allowed: many times the memory."""
    random = np.random.default_rng(2)
    pairs = Pairs(0, 1)
    lengths = np.clip(random.lognormal(3.1, 0.5, 1500), 3, 90).astype(int)
    pairs.sources = pairs.targets = [np.full(length, 5) for length in lengths]
    pairs.source_lengths = pairs.target_lengths = lengths.astype(np.int32)
    fixed = BatchShape.fixed(pairs, 25_000, 256)  # type: ignore[arg-type]
    indices = plan_epoch(pairs, fixed.budget, "random", 1, 0)[0]  # type: ignore[arg-type]
    filled, plain = (make_batch(pairs, indices, SPECIAL_TOKENS, shape) for shape in (fixed, BatchShape()))
    wrong = saved_bytes(fixed, filled, True, monkeypatch)
    right = saved_bytes(BatchShape(), plain, True, monkeypatch)
    varlen = saved_bytes(fixed, filled, False, monkeypatch)
    assert wrong > 4 * right > 4 * varlen
