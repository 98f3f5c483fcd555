"""Parts about the device itself: its ceilings, and whether attention kernels and device tests agree with the CPU."""

import subprocess
import sys

import numpy as np
import torch
from torch import Tensor

from scripts.gpu_parts.check import ROOT, Check
from scripts.gpu_parts.synthetic import random_layout
from translator.attention import Layout, attend, attention_weights
from translator.attention.kernels import choose_kernel
from translator.attention.padded import attend_padded, to_packed
from translator.runtime.doctor import diagnose


def ceilings(check: Check) -> None:
    """Copy bandwidth, counting bytes read and written, the bf16 matrix product on random data, and the doctor."""
    count = 1 << (20 if check.quick else 30)
    numbers = torch.empty(count, dtype=torch.float32, device=check.device).normal_()
    target = torch.empty_like(numbers)
    gigabytes = 2 * 4 * count / check.seconds(lambda: target.copy_(numbers)) / 1e9
    check.add("copy bandwidth", f"{gigabytes:,.0f} GB/s", "read and written bytes", copy_gb_per_second=gigabytes)
    size = 512 if check.quick else 8192
    left, right = torch.randn(2, size, size, device=check.device).to(torch.bfloat16)
    teraflops = 2 * size**3 / check.seconds(lambda: left @ right) / 1e12
    check.add("bf16 matrix product", f"{teraflops:,.1f} TFLOP/s", f"{size} cubed", matmul_tflops=teraflops)
    facts = diagnose()
    check.add("doctor", facts["auto chooses"], f"attention: {facts['attention']}", doctor=facts)


def kernels(check: Check) -> None:
    """Attention of random sentences, values and gradients of every kernel; then the tests that need a device."""
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.bfloat16, 3e-2), (torch.float16, 4e-3)):
        if dtype == torch.float16 and check.device.type == "cpu":
            continue
        for use in ("self", "causal", "cross"):
            error = kernel_error(check.device, dtype, use)
            kernel = choose_kernel(torch.empty(1, 1, 64, dtype=dtype, device=check.device))
            note = f"largest error {error:.1e}, allowed {tolerance:g}"
            check.expect(error <= tolerance, f"{kernel}, {str(dtype)[6:]}, {use}", note)
    files = ["tests/attention/test_choice.py", "tests/inference/test_cuda_graphs.py"]
    # The test of a toy run is one that takes no time.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    command += ["-k", "test_choice_on"] if check.quick else []
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=max(1.0, check.left))
    (check.output / "tests.log").write_text(result.stdout + result.stderr, encoding="utf-8")
    last = (result.stdout.strip().splitlines() or [result.stderr[-200:]])[-1]
    check.expect(result.returncode == 0, "device tests", f"{last}; see tests.log")


def kernel_error(device: torch.device, dtype: torch.dtype, use: str) -> float:
    """Largest difference of `attend` and of the padded kernel from the explicit weights in fp32."""
    torch.manual_seed(1)
    random = np.random.default_rng(1)
    rows = columns = random_layout(random.integers(0, 90, 64), device)
    if use == "cross":
        # Real sentences have a source; an empty one is only ever filler without a target.
        columns = random_layout(random.integers(1, 90, 64), device)
    sizes = [int(layout.offsets[-1]) for layout in (rows, columns)]
    query = torch.randn(sizes[0], 8, 64, device=device).to(dtype).requires_grad_()
    key, value = (torch.randn(sizes[1], 8, 64, device=device).to(dtype).requires_grad_() for _ in range(2))
    upstream = torch.randn(sizes[0], 8, 64, device=device).to(dtype)
    causal = use == "causal"
    wide = tuple(part.detach().float().requires_grad_() for part in (query, key, value))
    expected = [_explicit(wide[0], wide[1], wide[2], rows, columns, causal)]
    expected += torch.autograd.grad(expected[0], wide, upstream.float())
    worst = 0.0
    for kernel in (attend, attend_padded):
        found = [kernel(query, key, value, rows, columns, causal, 0.0)]
        found += torch.autograd.grad(found[0], (query, key, value), upstream)
        for mine, reference in zip(found, expected, strict=True):
            scale = max(1.0, float(reference.detach().abs().max()))
            worst = max(worst, float((mine.float() - reference).detach().abs().max()) / scale)
    return worst


def _explicit(
    query: Tensor, key: Tensor, value: Tensor, query_layout: Layout, key_layout: Layout, causal: bool
) -> Tensor:
    """Attention by the explicit weights, `[Tq, H, D]`."""
    weights = attention_weights(query, key, query_layout, key_layout, causal)
    grid = value.new_zeros(key_layout.num_sentences * key_layout.max_length, *value.shape[1:])
    grid = grid.index_copy(0, key_layout.cells, value)
    grid = grid.view(key_layout.num_sentences, key_layout.max_length, *value.shape[1:]).transpose(1, 2)
    return to_packed(weights @ grid, query_layout)
