"""The fast kernel is used whenever it can be, and only then."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from translator.attention import Layout, MultiHeadAttention, attend, attention_weights, kernels
from translator.attention.kernels import attend_dense, choose_kernel, require_kernel
from translator.config import DecodingSettings, ModelSettings, TrainingSettings
from translator.decoding import translate_ids
from translator.errors import DeviceError
from translator.inference import TransformerStepModel
from translator.model import build_model
from translator.runtime.device import Machine
from translator.training.state import TrainingState


class Cuda:
    """A tensor as far as the choice looks at it."""

    device = torch.device("cuda:0")

    def __init__(self, dtype: torch.dtype, width: int) -> None:
        self.dtype, self.shape = dtype, (7, 4, width)


@pytest.mark.parametrize(
    ("dtype", "width", "dropout", "capability", "kernel"),
    [
        (torch.bfloat16, 64, 0.0, (9, 0), "varlen"),
        (torch.float16, 32, 0.0, (8, 0), "varlen"),
        (torch.float32, 64, 0.0, (9, 0), "padded"),
        (torch.bfloat16, 64, 0.1, (9, 0), "padded"),
        (torch.bfloat16, 12, 0.0, (9, 0), "padded"),
        (torch.bfloat16, 264, 0.0, (9, 0), "padded"),
        # V100 and T4 compute in fp16, but not by FlashAttention.
        (torch.float16, 64, 0.0, (7, 0), "padded"),
        (torch.float16, 64, 0.0, (7, 5), "padded"),
    ],
)
def test_choice_on_cuda(
    dtype: torch.dtype, width: int, dropout: float, capability: tuple[int, int], kernel: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_kernel(Cuda(dtype, width), dropout) == kernel


def test_choice_on_cpu() -> None:
    assert choose_kernel(torch.zeros(3, 2, 64, dtype=torch.bfloat16)) == "padded"


def test_flex_is_taken_where_it_is_asked_for() -> None:
    assert choose_kernel(torch.zeros(3, 2, 64), wanted="flex") == "flex"
    assert choose_kernel(torch.zeros(3, 2, 64), wanted="fa3") == "padded"


@pytest.fixture
def hopper(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An H200 with FlashAttention 3 installed; the list says what was activated."""
    activated: list[str] = []
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(kernels.importlib.util, "find_spec", lambda name: name == "flash_attn_interface")
    monkeypatch.setattr(torch.nn.attention, "list_flash_attention_impls", lambda: ["FA3", "FA4"])
    monkeypatch.setattr(torch.nn.attention, "activate_flash_attention_impl", activated.append)
    return activated


CUDA = torch.device("cuda:0")


@pytest.mark.parametrize(("wanted", "activates"), [("auto", []), ("varlen", []), ("flex", []), ("fa3", ["FA3"])])
def test_a_kernel_that_runs_is_prepared(wanted: str, activates: list[str], hopper: list[str]) -> None:
    require_kernel(wanted, CUDA, torch.bfloat16, 64)
    assert hopper == activates


@pytest.mark.parametrize("wanted", ["varlen", "fa3", "flex"])
@pytest.mark.parametrize(
    ("device", "dtype", "width", "dropout", "found"),
    [
        (CUDA, torch.float32, 64, 0.0, "found cuda, float32"),
        (CUDA, torch.bfloat16, 12, 0.0, "heads 12 wide"),
        (CUDA, torch.bfloat16, 64, 0.1, "attention_dropout=0.1"),
        (torch.device("cpu"), torch.bfloat16, 64, 0.0, "found cpu"),
    ],
)
def test_a_kernel_that_does_not_run_here_is_refused(
    wanted: str, device: torch.device, dtype: torch.dtype, width: int, dropout: float, found: str, hopper: list[str]
) -> None:
    with pytest.raises(DeviceError, match=f"training.attention_kernel: {wanted} takes bf16 or fp16.*{found}"):
        require_kernel(wanted, device, dtype, width, dropout)
    require_kernel("auto", device, dtype, width, dropout)
    assert not hopper


def test_flash_attention_3_says_what_it_lacks(hopper: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.attention, "list_flash_attention_impls", lambda: ["FA4"])
    with pytest.raises(DeviceError, match=r"PyTorch .* cannot use FlashAttention 3; set it to auto"):
        require_kernel("fa3", CUDA, torch.bfloat16, 64)
    monkeypatch.setattr(kernels.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DeviceError, match="the package flash_attn_interface, .* is missing"):
        require_kernel("fa3", CUDA, torch.bfloat16, 64)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    with pytest.raises(DeviceError, match=r"for compute capability 9.0 \(H100, H200\), found 8.0"):
        require_kernel("fa3", CUDA, torch.bfloat16, 64)
    assert not hopper


def test_the_setting_reaches_every_attention_of_a_training(hopper: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(ModelSettings(encoder_layers=1, decoder_layers=2, d_model=16, num_heads=2), 9, 9, seed=1)
    monkeypatch.setattr(type(model), "to", lambda self, device: self)
    machine = Machine(CUDA, "bf16")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    TrainingState.initial(model, TrainingSettings(attention_kernel="flex"), machine)
    wanted = [module.wanted_kernel for module in model.modules() if isinstance(module, MultiHeadAttention)]
    assert wanted == ["flex"] * 5
    with pytest.raises(DeviceError, match="found cpu"):
        TrainingState.initial(model, TrainingSettings(attention_kernel="fa3"), Machine(torch.device("cpu"), "bf16"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("causal", [False, True])
def test_varlen_equals_explicit_weights_on_cuda(causal: bool) -> None:
    torch.manual_seed(6)
    layout = Layout(torch.tensor([0, 5, 5, 17, 20], dtype=torch.int32, device="cuda"), 12)
    query, key, value = torch.randn(3, 20, 4, 32, device="cuda", dtype=torch.bfloat16).unbind(0)
    weights = attention_weights(query, key, layout, layout, causal)
    output = attend(query, key, value, layout, layout, causal)
    for begin, end, sentence in [(0, 5, 0), (5, 17, 2), (17, 20, 3)]:
        size = end - begin
        expected = torch.einsum("hqk,khd->qhd", weights[sentence, :, :size, :size], value[begin:end].float())
        torch.testing.assert_close(output[begin:end].float(), expected, atol=2e-2, rtol=2e-2)


def test_decoding_keeps_away_from_cudnn_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    """A beam search asks for a new shape of attention at nearly every step, and cuDNN plans for each."""
    shapes: set[tuple[torch.Size, ...]] = set()
    calls, real = [], functional.scaled_dot_product_attention

    def fused(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None) -> Tensor:
        calls.append(None)
        if attn_mask is not None:
            shapes.add((query.shape, key.shape, attn_mask.shape))
        return real(query, key, value, attn_mask=attn_mask)

    monkeypatch.setattr(kernels, "_SENTENCES", 10**9)  # As on CUDA: the fused kernel for any number of sentences.
    monkeypatch.setattr(functional, "scaled_dot_product_attention", fused)
    shape = {"encoder_layers": 1, "decoder_layers": 1, "d_model": 16, "d_ff": 16, "num_heads": 2}
    steps = TransformerStepModel(build_model(ModelSettings(**shape), 40, 40, seed=1).eval())
    lengths = np.clip(np.random.default_rng(1).lognormal(2.0, 0.5, 30), 2, 30).astype(int)
    translate_ids(steps, [[3 + index % 30] * size for index, size in enumerate(lengths)], DecodingSettings(beam_size=3))
    assert len(shapes) > 0.2 * len(calls) > 5


def test_masked_attention_on_cuda_leaves_the_efficient_and_the_plain_kernel() -> None:
    before = torch.backends.cuda.cudnn_sdp_enabled()
    try:
        torch.backends.cuda.enable_cudnn_sdp(True)
        kernels.exclude_cudnn_attention.cache_clear()
        with FakeTensorMode():
            query, key, value = (torch.empty(9, 2, size, 16, device="cuda") for size in (5, 32, 32))
            assert attend_dense(query, key, value, torch.zeros(9, 1, 5, 32, device="cuda")).shape == query.shape
        assert not torch.backends.cuda.cudnn_sdp_enabled()
        assert torch.backends.cuda.mem_efficient_sdp_enabled() and torch.backends.cuda.math_sdp_enabled()
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)
        kernels.exclude_cudnn_attention.cache_clear()


def test_attention_on_the_cpu_leaves_the_flags_alone() -> None:
    kernels.exclude_cudnn_attention.cache_clear()
    before = torch.backends.cuda.cudnn_sdp_enabled()
    attend_dense(*torch.randn(3, 9, 2, 4, 16).unbind(), None)
    assert torch.backends.cuda.cudnn_sdp_enabled() == before
    assert kernels.exclude_cudnn_attention.cache_info().currsize == 0
