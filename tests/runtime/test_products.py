"""The library that multiplies matrices of fp32 in training."""

import pytest
import torch

from translator.runtime import products


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take oneDNN whatever the processor."""
    monkeypatch.setattr(products, "_is_faster", lambda: True)


@pytest.mark.usefixtures("chosen")
@pytest.mark.parametrize("shape", [(300, 65, 130), (40, 384, 8), (5, 3, 2)])
def test_products_are_those_of_fp32(shape: tuple[int, int, int]) -> None:
    rows, inner, columns = shape
    random = torch.Generator().manual_seed(1)
    left, right = torch.randn(rows, inner, generator=random), torch.randn(inner, columns, generator=random)
    batch = left.expand(9, rows, inner)
    with products.fast_products():
        single, many = left @ right, batch @ right
        transposed = left.t() @ (left @ right)
    expected = left.double() @ right.double()
    # Rounding to bf16 would make errors of 1e-2.
    torch.testing.assert_close(single.double(), expected, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(many.double(), expected.expand(9, rows, columns), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(transposed.double(), left.double().t() @ expected, rtol=1e-5, atol=2e-3)


@pytest.mark.usefixtures("chosen")
def test_the_setting_is_restored_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_is_exact", lambda: True)
    settings = torch.backends.mkldnn.matmul
    before = settings.fp32_precision
    with pytest.raises(ValueError, match="inside"), products.fast_products():
        assert settings.fp32_precision == "bf16"
        raise ValueError("inside")
    assert settings.fp32_precision == before


@pytest.mark.usefixtures("chosen")
def test_a_processor_that_rounds_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_is_exact", lambda: False)
    before = torch.backends.mkldnn.matmul.fp32_precision
    with products.fast_products():
        assert torch.backends.mkldnn.matmul.fp32_precision == before


@pytest.mark.parametrize(
    ("name", "avx512", "faster"), [("AMD EPYC", True, True), ("AMD EPYC", False, False), ("Intel Xeon", True, False)]
)
def test_only_amd_with_avx_512(monkeypatch: pytest.MonkeyPatch, name: str, avx512: bool, faster: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": name, "avx512_f": avx512}, raising=False)
    assert products._is_faster() == faster
