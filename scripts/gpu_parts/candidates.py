"""The part that times what could become the default next to what is: attention, the loss, the vocabulary step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scripts.gpu_parts.check import Check
from scripts.gpu_parts.synthetic import VOCABULARY, SyntheticPairs, random_layout
from translator.attention import Layout, attend
from translator.attention.kernels import require_kernel
from translator.decoding.logits import best_tokens, logsumexp, top_k
from translator.errors import DeviceError
from translator.training.loss import smoothed_cross_entropy
from translator.training.loss_chunk import choose_chunk, compile_chunk

HEADS, WIDTH, D_MODEL = 8, 64, 512


def candidates(check: Check) -> None:
    """Time every candidate in the shapes of base, and compare what it computes with the default."""
    for compare in (compare_attention, compare_losses, compare_vocabulary_steps):
        compare(check)


@contextmanager
def _candidate(check: Check, what: str) -> Iterator[None]:
    """Name what went wrong in the table, and continue with the next candidate."""
    try:
        yield
    except DeviceError as error:
        check.add(what, "left out", str(error))
    except Exception as error:
        check.expect(False, what, f"{type(error).__name__}: {error}".partition("\n")[0])


def compare_attention(check: Check) -> None:
    """Forward and backward of one attention over 25,000 tokens in sentences of news: kernel by kernel."""
    on_gpu = check.device.type == "cuda"
    dtype = check.machine.dtype if on_gpu else torch.float32
    pairs = SyntheticPairs(8 if check.quick else 900, VOCABULARY)
    rows, columns = (random_layout(sizes, check.device) for sizes in (pairs.target_lengths, pairs.source_lengths))
    expected: dict[str, list[Tensor]] = {}
    # FlashAttention 3 comes last, since it takes the place of FlashAttention 2 in the whole process.
    for wanted in ("varlen", "flex", "fa3") if on_gpu else ("auto", "flex"):
        for use in ("self", "causal", "cross"):
            keys = columns if use == "cross" else rows
            torch.manual_seed(1)
            parts = [_random(check, int(layout.offsets[-1]), dtype) for layout in (rows, keys, keys)]
            what = f"attention, {use}, {wanted}"
            with _candidate(check, what):
                if on_gpu:
                    require_kernel(wanted, check.device, dtype, WIDTH)
                run = _attention(parts, rows, keys, use == "causal", wanted, gradients=on_gpu)
                found = run()
                error = _furthest(found, expected.setdefault(use, found))
                _report(check, what, run, error, 3e-2 if on_gpu else 1e-4)


def _attention(
    parts: list[Tensor], rows: Layout, keys: Layout, causal: bool, wanted: str, gradients: bool
) -> Callable[[], list[Tensor]]:
    """Return what computes the output and, if they are wanted, its gradients."""

    def run() -> list[Tensor]:
        # The CPU has no gradients of FlexAttention.
        query, key, value = parts if gradients else [part.detach() for part in parts]
        output = attend(query, key, value, rows, keys, causal, wanted=wanted)
        by_parts = torch.autograd.grad(output, parts, torch.ones_like(output)) if gradients else ()
        return [output.detach(), *by_parts]

    return run


def compare_losses(check: Check) -> None:
    """The loss and its gradients from the decoder states of a batch, by operators and by the compiled chunk."""
    tokens, vocabulary = (300, 500) if check.quick else (check.options.batch_tokens, VOCABULARY)
    dtype = check.machine.dtype
    states, weight = _random(check, tokens, dtype, (D_MODEL,)), _random(check, vocabulary, torch.float32, (D_MODEL,))
    labels = torch.randint(vocabulary, (tokens,), device=check.device)
    expected: list[Tensor] | None = None
    with check.compiler():
        kernels = {"by operators": choose_chunk(check.device), "compiled": compile_chunk()}
    for name, kernel in kernels.items():

        def run() -> list[Tensor]:
            loss = smoothed_cross_entropy(states, weight, labels, 0.1, kernel=kernel)  # noqa: B023, called at once
            return [loss.objective.detach(), *torch.autograd.grad(loss.objective, (states, weight))]

        what = f"loss, {name}"
        with _candidate(check, what):
            found = run()
            expected = expected or found
            check.peak_gib()
            _report(check, what, run, _furthest(found, expected), 1e-4 if dtype == torch.float32 else 5e-2)


def compare_vocabulary_steps(check: Check) -> None:
    """The best tokens and the sum of a step of many hypotheses: from a copy in fp32, read once, and compiled."""
    sentences, vocabulary = (3, 2000) if check.quick else (512, VOCABULARY)
    logits = torch.randn(sentences, 5, vocabulary, device=check.device).to(check.machine.dtype)

    def copied() -> list[Tensor]:
        wide = logits.float().clone()
        values, ids = top_k(wide, 6)
        return [values - logsumexp(wide, values[..., :1]), ids]

    def read_once() -> list[Tensor]:
        best = best_tokens(logits, 6)
        return [best.logits.float() - best.logsumexp, best.ids]

    def fused(half: Tensor) -> tuple[Tensor, Tensor]:
        values, ids = top_k(half, 6)
        return values.float() - half.float().logsumexp(-1, keepdim=True), ids

    with check.compiler():
        compiled: Any = torch.compile(fused)
    ways: dict[str, Callable[[], list[Tensor]]] = {
        "copy in fp32": copied,
        "read once": read_once,
        "compiled": lambda: list(compiled(logits)),
    }
    expected = copied()
    for name, run in ways.items():
        what = f"vocabulary step, {sentences} x 5, {name}"
        with _candidate(check, what), torch.inference_mode():
            check.peak_gib()
            _report(check, what, run, _furthest(run()[:1], expected[:1]), 1e-3)


def _random(check: Check, rows: int, dtype: torch.dtype, shape: tuple[int, ...] = (HEADS, WIDTH)) -> Tensor:
    return torch.randn(rows, *shape, device=check.device).to(dtype).requires_grad_()


def _furthest(found: list[Tensor], expected: list[Tensor]) -> float:
    """The largest difference, relative to the largest number of each tensor."""
    errors = []
    for mine, other in zip(found, expected, strict=True):
        scale = max(1.0, float(other.detach().abs().max()))
        errors.append(float((mine.detach().float() - other.detach().float()).abs().max()) / scale)
    return float(np.max(errors))


def _report(check: Check, what: str, run: Callable[[], object], error: float, allowed: float) -> None:
    """Time a candidate that has run once, and add it to the table."""
    microseconds = 1e6 * check.seconds(run, 2 if check.quick else 20)
    figures = {"microseconds": microseconds, "error": error, "peak_gib": check.peak_gib()}
    check.add(what, f"{microseconds:,.0f} us", f"{error:.1e} from the default", **{what: figures})
    if error > allowed:
        check.expect(False, what, f"{error:.1e} from the default, allowed {allowed:g}")
