"""Recorded weights are those that the model computed with, and recording leaves no trace."""

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from translator.attention import MultiHeadAttention, Packed, Projected, pack
from translator.checkpoints import Bundle, load_bundle
from translator.config import KINDS, TrainingSettings
from translator.data.batches import Batch
from translator.inspection.capture import Weights, recorded_weights, teacher_forced_weights
from translator.model import Transformer, build_model
from translator.runtime.device import choose_machine
from translator.training.state import TrainingState
from translator.training.update import Updater
from translator.translation import Translator

# Sentences of different lengths, one with only its special token.
SOURCES = [[5, 6, 7, 8, 9, 10, 2], [11, 2], [12, 13, 14, 2], [2]]
TARGETS = [[1, 20, 21], [1, 22, 23, 24, 25, 26], [1], [1, 27]]
SHAPES: list[dict[str, Any]] = [
    {"norm": "post"},
    {"norm": "pre"},
    {"num_heads": 3, "head_dim": 6, "encoder_heads": [3, 1], "decoder_heads": [1, 2], "cross_heads": [2, 3]},
]


@pytest.fixture
def loaded(tiny_run: Path) -> Bundle:
    return load_bundle(tiny_run, device="cpu")


def bundle_of(loaded: Bundle, precision: str = "fp32", **shape: Any) -> Bundle:
    """The tiny run with a random model of two layers, whose biases are not zero."""
    settings = loaded.config.model.model_copy(update={"encoder_layers": 2, "decoder_layers": 2, "d_model": 32} | shape)
    model = build_model(settings, 320, 320, seed=3).eval()
    torch.manual_seed(4)
    with torch.no_grad():
        for kind in KINDS:
            for module in model.attentions(kind):
                module.input_weight.mul_(2.0)
                nn.init.normal_(module.input_bias)
                nn.init.normal_(module.output.bias)
    config = loaded.config.model_copy(update={"model": settings})
    return dataclasses.replace(loaded, model=model, config=config, machine=choose_machine("cpu", precision))


def spans(batch: Packed) -> list[slice]:
    """The slice of each sentence among the tokens of a batch."""
    offsets = batch.layout.offsets.tolist()
    return [slice(begin, end) for begin, end in zip(offsets, offsets[1:], strict=False)]


class Calls:
    """The inputs and outputs of the attention modules of a model, by kind and layer."""

    def __init__(self, model: Transformer) -> None:
        self.inputs: dict[str, list[tuple[Tensor, Projected]]] = {kind: [] for kind in KINDS}
        self.outputs: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
        self._hooks = ExitStack()
        for kind in KINDS:
            for module in model.attentions(kind):
                self._hooks.callback(module.register_forward_hook(self._keep(kind), with_kwargs=True).remove)

    def _keep(self, kind: str) -> Any:
        def keep(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Tensor) -> None:
            query, _layout, memory = inputs[:3]
            assert named.get("causal", inputs[3] if len(inputs) > 3 else False) is (kind == "decoder")
            self.inputs[kind].append((query, memory))
            self.outputs[kind].append(output)

        return keep

    def __enter__(self) -> "Calls":
        return self

    def __exit__(self, *_: object) -> None:
        self._hooks.close()


def looked(bundle: Bundle) -> tuple[Weights, Calls, dict[str, tuple[list[slice], list[slice]]]]:
    """The weights of a batch, what its modules were called with, and the sentences of queries and keys by kind."""
    source, target = pack(SOURCES), pack(TARGETS)
    with Calls(bundle.model) as calls:
        weights = teacher_forced_weights(bundle, source, target)
    own, other = spans(source), spans(target)
    return weights, calls, {"encoder": (own, own), "decoder": (other, other), "cross": (other, own)}


@pytest.mark.parametrize("shape", SHAPES, ids=["post", "pre", "heads by layer"])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-6), ("bf16", 3e-2)])
def test_weights_times_values_through_the_output_projection_are_the_module_output(
    loaded: Bundle, shape: dict[str, Any], precision: str, tolerance: float
) -> None:
    bundle = bundle_of(loaded, precision, **shape)
    weights, calls, sentences = looked(bundle)
    for kind in KINDS:
        modules = bundle.model.attentions(kind)
        assert len(modules) == len(weights[kind]) == len(calls.outputs[kind]) == 2
        for module, shown, (_, memory), output in zip(
            modules, weights[kind], calls.inputs[kind], calls.outputs[kind], strict=True
        ):
            assert memory.value.dtype == bundle.machine.dtype
            assert shown.dtype == torch.float32
            for number, (rows, columns) in enumerate(zip(*sentences[kind], strict=True)):
                values = memory.value[columns].float()  # [Lk, H, D]
                own = shown[number, :, : rows.stop - rows.start, : len(values)]  # [H, Lq, Lk]
                heads = [own[head] @ values[:, head] for head in range(module.num_heads)]
                expected = nn.functional.linear(torch.cat(heads, -1), module.output.weight, module.output.bias)
                scale = float(expected.detach().abs().max())
                torch.testing.assert_close(output[rows].float(), expected, atol=tolerance * scale, rtol=0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_rows_sum_to_one_and_what_is_hidden_is_exactly_zero(loaded: Bundle, precision: str) -> None:
    weights, _, sentences = looked(bundle_of(loaded, precision, **SHAPES[2]))
    for kind in KINDS:
        for layer in weights[kind]:
            real = torch.zeros_like(layer, dtype=torch.bool)
            for number, (rows, columns) in enumerate(zip(*sentences[kind], strict=True)):
                height, width = rows.stop - rows.start, columns.stop - columns.start
                own = layer[number, :, :height, :width]
                torch.testing.assert_close(own.sum(-1), torch.ones(len(own), height), atol=1e-6, rtol=0)
                seen = torch.ones(height, width, dtype=torch.bool)
                real[number, :, :height, :width] = seen.tril() if kind == "decoder" else seen
            assert (layer[~real] == 0).all()
            assert (layer[real] > 0).all()


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_weights_equal_those_of_torch(loaded: Bundle, norm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = bundle_of(loaded, norm=norm)
    states: dict[MultiHeadAttention, list[Tensor]] = {}

    def keep(module: MultiHeadAttention, name: str) -> None:
        original = getattr(module, name)

        def project(given: Tensor, *more: Any) -> Any:
            states.setdefault(module, []).append(given)
            return original(given, *more)

        monkeypatch.setattr(module, name, project)

    for kind in KINDS:
        for module in bundle.model.attentions(kind):
            for name in ("project_all", "project_query", "project_memory"):
                keep(module, name)
    weights, _, sentences = looked(bundle)
    for kind in KINDS:
        for module, shown in zip(bundle.model.attentions(kind), weights[kind], strict=True):
            # The memory is projected before the queries.
            queries, keys = states[module][-1], states[module][0]
            theirs = nn.MultiheadAttention(32, module.num_heads, batch_first=True).eval()
            with torch.no_grad():
                theirs.in_proj_weight.copy_(module.input_weight)
                theirs.in_proj_bias.copy_(module.input_bias)
            for number, (rows, columns) in enumerate(zip(*sentences[kind], strict=True)):
                query, key = queries[rows][None].clone(), keys[columns][None].clone()
                height, width = query.size(1), key.size(1)
                mask = torch.ones(height, width, dtype=torch.bool).triu(1) if kind == "decoder" else None
                _, expected = theirs(query, key, key, attn_mask=mask, average_attn_weights=False)
                torch.testing.assert_close(shown[number, :, :height, :width], expected[0], atol=1e-6, rtol=1e-5)


@torch.inference_mode()
def test_looking_changes_no_output_and_leaves_nothing_behind(loaded: Bundle) -> None:
    bundle = bundle_of(loaded)
    source, target = pack(SOURCES), pack(TARGETS)
    before = bundle.model(source, target)
    attributes = {module: set(vars(module)) for module in bundle.model.modules()}
    with recorded_weights(bundle.model) as recorded:
        during = bundle.model(source, target)
    assert [len(recorded[kind]) for kind in KINDS] == [2, 2, 2]
    with pytest.raises(KeyError), recorded_weights(bundle.model):
        raise KeyError
    after = bundle.model(source, target)
    assert torch.equal(before, during) and torch.equal(before, after)
    for module in bundle.model.modules():
        assert not module._forward_pre_hooks and not module._forward_hooks
        assert set(vars(module)) == attributes[module]
    assert [len(recorded[kind]) for kind in KINDS] == [2, 2, 2]


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make every import of the function that computes weights fail when called."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("weights were computed")

    imported = {name: module for name, module in sys.modules.items() if name.startswith("translator.")}
    holders = [name for name, module in imported.items() if hasattr(module, "attention_weights")]
    assert {"translator.attention", "translator.attention.kernels", "translator.inspection.capture"} <= set(holders)
    for name in holders:
        monkeypatch.setattr(f"{name}.attention_weights", refuse)
    yield


@pytest.mark.usefixtures("no_weights")
def test_neither_training_nor_translating_computes_weights(loaded: Bundle) -> None:
    bundle = bundle_of(loaded, dropout=0.1)
    assert list(Translator(bundle).translate(["a dog"], beam_size=2))
    settings = TrainingSettings()
    model = bundle.model.train()
    before = model.output_weight.detach().clone()
    labels = pack([[*target[1:], 2] for target in TARGETS]).tokens
    batch = Batch(np.arange(len(TARGETS)), pack(SOURCES), pack(TARGETS), labels)
    Updater(TrainingState.initial(model, settings, bundle.machine), settings, bundle.machine)([batch])
    assert not torch.equal(model.output_weight, before)
    with pytest.raises(AssertionError, match="weights were computed"):
        teacher_forced_weights(bundle, pack(SOURCES), pack(TARGETS))


@pytest.mark.slow
def test_training_and_translating_do_not_import_this_room() -> None:
    program = (
        "import sys\nfrom translator.cli.app import main\nimport translator.training.train, translator.decoding\n"
        "sys.argv = ['translator', '--help']\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "assert 'translator.training.trainer' in sys.modules\n"
        "print(*(name for name in sys.modules if name.startswith('translator.inspection')), file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stderr.split() == []
