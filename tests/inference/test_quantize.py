"""Products in 8 bits: against integer arithmetic, against fp32, and alone against among others."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from translator.checkpoints import load_bundle
from translator.config import DecodingSettings
from translator.decoding import NativeEngine, Request
from translator.errors import ConfigError
from translator.inference import TransformerStepModel
from translator.inference import linear as quantizing
from translator.inference.linear import LARGE, Int8Linear, PlainLinear, choose_linear, int8_linear
from translator.runtime.device import Machine

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="needs oneDNN")
CPU = torch.device("cpu")


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("rows", [1, 5, 40])
def test_products_are_those_of_integers(monkeypatch: pytest.MonkeyPatch, exact: bool, rows: int) -> None:
    monkeypatch.setattr(quantizing, "_adds_exactly", lambda: exact)
    torch.manual_seed(2)
    states, weight, bias = torch.randn(rows, 64), torch.randn(96, 64), torch.randn(96)
    found = Int8Linear(weight, bias)(states)
    levels = 127.0 if exact else 63.0
    row_scales, scales = states.abs().amax(1, keepdim=True) / levels, weight.abs().amax(1, keepdim=True) / 127.0
    expected = (states / row_scales).round() @ (weight / scales).round().T * row_scales * scales.T + bias
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)
    error = (found - functional.linear(states, weight, bias)).norm() / found.norm()
    assert error < (0.015 if exact else 0.025)


def test_a_row_is_the_same_alone_and_among_others() -> None:
    torch.manual_seed(3)
    linear = Int8Linear(torch.randn(96, 64), torch.randn(96))
    states = torch.randn(20, 64) * torch.logspace(-3, 3, 20)[:, None]
    together = linear(states)
    assert all(torch.equal(linear(states[row : row + 1])[0], together[row]) for row in range(20))


def test_zeros_stay_zeros() -> None:
    weight = torch.randn(96, 64)
    weight[7] = 0.0
    states = torch.randn(3, 64)
    states[1] = 0.0
    found = Int8Linear(weight, None)(states)
    assert not found[1].any() and not found[:, 7].any()
    assert found.isfinite().all()


def test_small_weights_stay_as_they_are() -> None:
    assert isinstance(int8_linear(torch.randn(LARGE // 64, 64), None), Int8Linear)
    assert isinstance(int8_linear(torch.randn(8, 64), None), PlainLinear)


def test_translations_in_8_bits_are_nearly_those_in_fp32(monkeypatch: pytest.MonkeyPatch, tiny_run: Path) -> None:
    monkeypatch.setattr(quantizing, "LARGE", 1)
    bundle = load_bundle(tiny_run, device="cpu")
    requests = [Request((5, 6, 7, 8, 9)), Request((30, 31)), Request((11,))]
    settings = DecodingSettings(beam_size=3, max_length_extra=4)
    exact, rough = (
        NativeEngine(TransformerStepModel.of(bundle, quantize)).search(requests, settings)
        for quantize in ("none", "int8")
    )
    differences = [
        abs(one[0].score - other[0].score) / abs(one[0].score) for one, other in zip(exact, rough, strict=True)
    ]
    assert 0.0 < max(differences) < 0.03


@pytest.mark.parametrize("machine", [Machine(CPU, "bf16"), Machine(torch.device("meta"), "fp32")])
def test_other_machines_have_no_8_bits(machine: Machine) -> None:
    with pytest.raises(ConfigError, match="quantize: int8 is for the CPU in fp32, this is"):
        choose_linear(machine, "int8")


def test_a_build_without_the_kernels_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        def __getattr__(self, name: str) -> Any:
            raise AttributeError(name)

    monkeypatch.setattr(torch.ops, "onednn", Nothing())
    with pytest.raises(ConfigError, match="this build of torch has no 8-bit products"):
        choose_linear(Machine(CPU, "fp32"), "int8")
