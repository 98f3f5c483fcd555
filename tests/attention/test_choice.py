"""The fast kernel is used whenever it can be, and only then."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from translator.attention import Layout, attend, attention_weights, kernels
from translator.attention.kernels import attend_dense, choose_kernel
from translator.config import DecodingSettings, ModelSettings
from translator.decoding import translate_ids
from translator.inference import TransformerStepModel
from translator.model import build_model


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
