"""The chunked loss against torch.nn.functional.cross_entropy."""

import math
import shutil
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.nn import functional

from translator.attention import pack
from translator.config import ModelSettings
from translator.data.batches import Batch
from translator.model import build_model
from translator.runtime.device import Machine
from translator.training import loss as module
from translator.training.loss import batch_loss, smoothed_cross_entropy
from translator.training.loss_chunk import ChunkKernel, chunk_in_place, chunk_of_softmax, compile_chunk


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("chunk", [3, 64])
def test_value_and_gradients_equal_torch(smoothing: float, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_chunk_tokens", lambda vocabulary, device: chunk)
    torch.manual_seed(1)
    states = torch.randn(11, 8, requires_grad=True)
    weight = torch.randn(23, 8, requires_grad=True)
    labels = torch.randint(0, 23, (11,))
    found = smoothed_cross_entropy(states, weight, labels, smoothing)
    logits = states @ weight.t()
    expected = functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="sum")
    torch.testing.assert_close(found.smoothed, expected)
    torch.testing.assert_close(found.nll, functional.cross_entropy(logits, labels, reduction="sum"))
    mine = torch.autograd.grad(found.objective * 0.7, (states, weight))
    reference = torch.autograd.grad(expected * 0.7, (states, weight))
    for gradient, wanted in zip(mine, reference, strict=True):
        torch.testing.assert_close(gradient, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("r_drop", [0.0, 5.0])
def test_an_output_bias_is_part_of_the_logits(r_drop: float) -> None:
    torch.manual_seed(2)
    settings = ModelSettings(
        encoder_layers=1, decoder_layers=1, d_model=8, d_ff=4, num_heads=1, dropout=0.0, output_bias=True
    )
    model = build_model(settings, 23, 23, seed=1)
    torch.nn.init.normal_(model.output_bias)
    batch = Batch(np.arange(2), pack([[5, 6, 2], [7, 2]]), pack([[1, 8], [1, 9, 10]]), torch.tensor([8, 2, 9, 10, 2]))
    found = batch_loss(model, batch, Machine(torch.device("cpu"), "fp32"), smoothing=0.1, r_drop=r_drop)
    logits = model.logits(model(batch.source, batch.target))
    expected = functional.cross_entropy(logits, batch.labels, label_smoothing=0.1, reduction="sum")
    torch.testing.assert_close(found.objective, expected)
    parts = [model.output_bias, model.output_weight]
    for mine, wanted in zip(*(torch.autograd.grad(x, parts) for x in (found.objective, expected)), strict=True):
        torch.testing.assert_close(mine, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("chunk", [5, 64])
def test_r_drop_adds_the_divergence_of_two_passes(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_chunk_tokens", lambda vocabulary, device: chunk)
    torch.manual_seed(3)
    states = torch.randn(2, 11, 8, requires_grad=True)
    weight = torch.randn(23, 8, requires_grad=True)
    labels = torch.randint(0, 23, (11,))
    found = smoothed_cross_entropy(states, weight, labels, 0.1, r_drop=5.0)
    first, second = (functional.log_softmax(part @ weight.t(), -1) for part in states)
    entropies = [
        functional.cross_entropy(part, labels, label_smoothing=0.1, reduction="sum") for part in (first, second)
    ]
    divergence = functional.kl_div(first, second, reduction="sum", log_target=True) + functional.kl_div(
        second, first, reduction="sum", log_target=True
    )
    # Liang et al. 2021, equation 3, by half: the sum of two losses and alpha times the mean divergence.
    expected = 0.5 * (sum(entropies) + 5.0 * 0.5 * divergence)
    torch.testing.assert_close(found.objective, expected)
    torch.testing.assert_close(found.smoothed, 0.5 * sum(entropies))
    mine = torch.autograd.grad(found.objective, (states, weight))
    reference = torch.autograd.grad(expected, (states, weight))
    for gradient, wanted in zip(mine, reference, strict=True):
        torch.testing.assert_close(gradient, wanted, atol=1e-5, rtol=1e-4)


def test_labels_of_vanishing_probability_have_a_finite_loss() -> None:
    states = torch.tensor([[200.0]])
    weight = torch.tensor([[1.0], [-1.0], [0.0]])
    found = smoothed_cross_entropy(states, weight, torch.tensor([1]), 0.1)
    logits = states @ weight.t()
    torch.testing.assert_close(found.nll, functional.cross_entropy(logits, torch.tensor([1]), reduction="sum"))
    assert found.nll.item() == pytest.approx(400.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_the_chunk_in_place_is_the_chunk_of_the_formula(scale: float, dtype: torch.dtype) -> None:
    """At scale 30, logits are beyond +-100, so that the powers of the first attempt overflow or vanish."""
    torch.manual_seed(4)
    states, weight = (scale * torch.randn(16, 8)).to(dtype), torch.randn(2500, 8)
    label = torch.randint(0, 2500, (16, 1))
    wanted = chunk_of_softmax(states, weight.to(dtype), label, 0.1)
    found = chunk_in_place(states, (weight * math.log2(math.e)).to(dtype), label, 0.1)
    assert found.total is not None
    exact = dtype == torch.float32
    relative, absolute = (1e-5, 1e-4 * scale) if exact else (2e-2, 0.1 * scale)
    torch.testing.assert_close(found.logsumexp, wanted.logsumexp, rtol=relative, atol=absolute)
    torch.testing.assert_close(found.label_logit, wanted.label_logit, rtol=relative, atol=absolute)
    error = found.error.float() / found.total
    torch.testing.assert_close(error, wanted.error.float(), rtol=0, atol=1e-4 if exact else 0.25)


@pytest.fixture
def compiled_kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChunkKernel]:
    """The kernel that is compiled on CUDA, by a backend that runs its operators one by one."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compile_function = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: compile_function(function, backend="aot_eager"))
    yield compile_chunk()
    torch._dynamo.reset()


@pytest.mark.parametrize(("dtype", "chunk"), [(torch.float32, 64), (torch.float32, 5), (torch.bfloat16, 5)])
def test_the_compiled_chunk_is_the_chunk_of_the_formula(
    compiled_kernel: ChunkKernel, dtype: torch.dtype, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In batches of several sizes, whose last chunk is of any size, even of a single token."""
    monkeypatch.setattr(module, "_chunk_tokens", lambda vocabulary, device: chunk)
    torch.manual_seed(5)
    weight = torch.randn(23, 8, requires_grad=True)
    for tokens in (11, 17, 6, 10):
        states = (3 * torch.randn(tokens, 8)).to(dtype).requires_grad_()
        labels = torch.randint(0, 23, (tokens,))
        found, plain = (
            smoothed_cross_entropy(states, weight, labels, 0.1, kernel=kernel)
            for kernel in (compiled_kernel, ChunkKernel(chunk_of_softmax))
        )
        tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 2e-2, "atol": 2e-2}
        torch.testing.assert_close(tuple(found), tuple(plain), **tolerance)
        gradients = (torch.autograd.grad(each.objective, (states, weight)) for each in (found, plain))
        for mine, wanted in zip(*gradients, strict=True):
            torch.testing.assert_close(mine, wanted, **tolerance)
    metrics = torch._dynamo.utils.counters
    assert metrics["stats"]["unique_graphs"] == 1 and not metrics["graph_break"], "one graph for chunks of any size"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_the_chunk_compiled_by_inductor_is_the_chunk_of_the_formula() -> None:
    torch._dynamo.reset()
    torch.manual_seed(6)
    compiled = compile_chunk()
    for tokens in (40, 7):
        states, matrix, labels = torch.randn(tokens, 16), torch.randn(300, 16), torch.randint(0, 300, (tokens, 1))
        found, wanted = (kernel(states, matrix, labels, 0.1) for kernel in (compiled.compute, chunk_of_softmax))
        for name in ("logsumexp", "label_logit", "error"):
            torch.testing.assert_close(getattr(found, name), getattr(wanted, name), atol=1e-5, rtol=1e-5)
    torch._dynamo.reset()


def test_bf16_is_close() -> None:
    torch.manual_seed(2)
    states, weight, labels = torch.randn(20, 16), torch.randn(50, 16), torch.randint(0, 50, (20,))
    wide = smoothed_cross_entropy(states, weight, labels, 0.1)
    half = smoothed_cross_entropy(states.bfloat16(), weight, labels, 0.1)
    torch.testing.assert_close(half.smoothed, wide.smoothed, rtol=2e-2, atol=0.5)


def test_works_without_gradients() -> None:
    with torch.inference_mode():
        found = smoothed_cross_entropy(torch.zeros(2, 4), torch.zeros(5, 4), torch.tensor([0, 3]), 0.1)
    torch.testing.assert_close(found.nll, 2 * torch.log(torch.tensor(5.0)))
