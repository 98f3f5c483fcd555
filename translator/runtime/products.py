"""Which library multiplies matrices of fp32 on the CPU while a model is trained.

PyTorch gives these products to Intel's MKL, which leaves the AVX-512 of AMD's processors unused: one core of an EPYC
(Zen 5) reaches 105 GFLOP/s with it and 230 with oneDNN, which PyTorch contains as well. There is no setting that only
names the library. There is one that allows fp32 products to be rounded to bf16, and such products go to oneDNN, which
rounds with AMX only: with AVX-512 it computes in fp32 as before.
"""

import contextlib
import functools
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def fast_products() -> Iterator[None]:
    """Let oneDNN multiply matrices of fp32 on the CPU in this block, if it is faster here and does not round.

    Not for decoding: oneDNN compiles a kernel for each new shape (0.4 ms), and is slower for less than about 30 rows.
    """
    with _given_to_onednn() if _is_faster() and _is_exact() else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def _given_to_onednn() -> Iterator[None]:
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    try:
        yield
    finally:
        settings.fp32_precision = before


def _is_faster() -> bool:
    """Tell whether this processor has AVX-512 that MKL does not use.

    This depends on the processor alone, not on a measurement, so that a resumed run computes the same numbers.
    """
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return "AMD" in str(capabilities.get("cpu_name")) and bool(capabilities.get("avx512_f"))


@functools.cache
def _is_exact() -> bool:
    """Tell whether oneDNN multiplies in fp32: 257 is no number of bf16."""
    with _given_to_onednn():
        product = torch.full((256, 256), 257.0) @ torch.eye(256)
    return bool((product == 257.0).all())
