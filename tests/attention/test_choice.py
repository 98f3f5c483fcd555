"""The fast kernel is used whenever it can be, and only then."""

import pytest
import torch

from translator.attention import Layout, attend, attention_weights
from translator.attention.kernels import choose_kernel


class Cuda:
    """A tensor as far as the choice looks at it."""

    is_cuda = True

    def __init__(self, dtype: torch.dtype, width: int) -> None:
        self.dtype, self.shape = dtype, (7, 4, width)


@pytest.mark.parametrize(
    ("dtype", "width", "dropout", "kernel"),
    [
        (torch.bfloat16, 64, 0.0, "varlen"),
        (torch.float16, 32, 0.0, "varlen"),
        (torch.float32, 64, 0.0, "padded"),
        (torch.bfloat16, 64, 0.1, "padded"),
        (torch.bfloat16, 12, 0.0, "padded"),
    ],
)
def test_choice_on_cuda(dtype: torch.dtype, width: int, dropout: float, kernel: str) -> None:
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
