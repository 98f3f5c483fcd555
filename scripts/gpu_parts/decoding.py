"""The part about decoding: replayed steps against plain ones, searches and their options on a random model of base."""

import math
import time

import torch

from scripts.gpu_parts.check import Check
from scripts.gpu_parts.searches import (
    errors_in_lockstep,
    random_sources,
    step_seconds,
    time_search,
    work_of_step,
)
from scripts.gpu_parts.synthetic import VOCABULARY
from translator.attention.kernels import exclude_cudnn_attention
from translator.config import DecodingSettings
from translator.decoding import NativeEngine, Request
from translator.inference import TransformerStepModel
from translator.inference.cuda_graphs import GraphedStepModel
from translator.model import Transformer, build_model
from translator.translation.engine_choice import SEARCHES_ON_A_DEVICE


def decoding(check: Check) -> None:
    """Logits in every precision, the time of one step, searches plain, replayed and in turn, cuDNN's attention."""
    vocabulary = 500 if check.quick else VOCABULARY
    model = build_model(check.preset("base").model, vocabulary, vocabulary, seed=1).to(check.device).eval()
    with torch.no_grad():
        # Sentences end, and at different times.
        model.output_weight[2].mul_(3.0)
    compare_steps(check, model)
    for sentences, width in ((1, 1), (1, 5), (128, 5)) if check.quick else ((1, 1), (1, 5), (128, 5), (512, 5)):
        _time_steps(check, model, sentences, width)
    sources = random_sources(6 if check.quick else 1024, vocabulary, 8 if check.quick else 40)
    compare_searches(check, model, sources)
    compare_workers(check, model, sources)
    _compare_cudnn(check, model, sources)


def compare_steps(check: Check, model: Transformer) -> None:
    """Mean error of the logits of plain and of replayed steps, from plain ones in fp32."""
    on_gpu = check.device.type == "cuda"
    vocabulary = len(model.output_weight)
    exact = TransformerStepModel(model, machine=check.machine_in("fp32"))
    sources = random_sources(5 if check.quick else 50, vocabulary, 40)
    for precision in ("fp32", "bf16", "fp16") if on_gpu else ("fp32", "bf16"):
        machine = check.machine_in(precision)
        plain, replayed = TransformerStepModel(model, machine=machine), GraphedStepModel(model, machine=machine)
        # Shapes are recorded when they come back: the last time, all of them are replayed.
        for _ in range(1 if check.quick else 4):
            errors = errors_in_lockstep([exact, plain, replayed], sources, vocabulary, 5, 40)
        allowed = 1e-4 if precision == "fp32" else 1.2 * errors[0]
        note = f"mean error {errors[1]:.1e}, of plain ones {errors[0]:.1e}; {replayed.recordings} graphs"
        holds = errors[1] <= allowed and (replayed.recordings > 0 or not on_gpu)
        check.expect(holds, f"replayed steps, {precision}", f"{note}; allowed {allowed:.1e}, and some graphs on CUDA")


def _time_steps(check: Check, model: Transformer, sentences: int, width: int) -> None:
    first, count, memory = (2, 2, 5) if check.quick else (20, 10, 30)
    sources = random_sources(sentences, len(model.output_weight), memory - 1)
    bytes_each = torch.finfo(check.machine.dtype).bits // 8
    work = work_of_step(model, sentences, width, memory, first + count // 2, bytes_each)
    bandwidth, product = check.ceiling("copy_gb_per_second"), check.ceiling("matmul_tflops")
    least = max(work.bytes / (bandwidth * 1e9), work.flops / (product * 1e12)) if bandwidth and product else math.nan
    for name, kind in (("plain", TransformerStepModel), ("replayed", GraphedStepModel)):
        seconds = step_seconds(kind(model, machine=check.machine), sources, width, first, count, check.wait)
        share = None if math.isnan(least) else least / seconds
        check.add(
            f"step of base, {name}, {check.machine.precision}, {sentences} x {width}",
            f"{1e6 * seconds:,.0f} us",
            "" if share is None else f"{share:.0%} of what bandwidth or matrix product allow",
            **{f"step_{name}_{sentences}x{width}": {"microseconds": 1e6 * seconds, "share_of_ceiling": share}},
        )


def compare_searches(check: Check, model: Transformer, sources: list[list[int]]) -> None:
    """Whole searches, plain against replayed: how many sentences differ, and how fast both are."""
    for beam in (1, 5):
        found = {}
        for name, kind in (("plain", TransformerStepModel), ("replayed", GraphedStepModel)):
            found[name] = time_search(kind(model, machine=check.machine), sources, beam, check.wait, check.quick)
            speed = found[name]
            check.add(
                f"decoding, beam {beam}, {name}", f"{speed.tokens_per_second:,.0f} tokens/s",
                f"{speed.milliseconds:.1f} ms for a sentence alone",
                **{f"decoding_beam_{beam}_{name}": {
                    "tokens_per_second": speed.tokens_per_second, "milliseconds_alone": speed.milliseconds,
                }},
            )  # fmt: skip
        others = sum(one != other for one, other in zip(found["plain"].found, found["replayed"].found, strict=True))
        # In half precision, the order of two hypotheses may hang on the rounding of a sum.
        allowed = len(sources) // (200 if check.machine.precision == "fp32" else 5)
        note = f"{others:,} of {len(sources):,} sentences differ, allowed {allowed:,}"
        check.expect(others <= allowed, f"translations, beam {beam}", note)


def compare_workers(check: Check, model: Transformer, sources: list[list[int]]) -> None:
    """One search after the other against two in turn, the default on CUDA: which sentences differ, and how fast.

    If searches in turn fail where one alone does not, the table says so, and what comes after is still measured.
    """
    # Four batches, so that each worker has two.
    settings = DecodingSettings(beam_size=4, batch_tokens=max(4 * sum(len(source) + 1 for source in sources) // 4, 64))
    requests = [Request(tuple(source)) for source in sources]
    found: list[list[tuple[int, ...]]] = []
    for workers in (1, SEARCHES_ON_A_DEVICE):
        engine = NativeEngine(GraphedStepModel(model, machine=check.machine), workers=workers)
        try:
            for _ in range(1 if check.quick else 3):  # Shapes are recorded when they come back.
                check.wait()
                began = time.perf_counter()
                answers = engine.search(requests, settings)
                check.wait()
                seconds = time.perf_counter() - began
        except Exception as error:
            check.expect(False, f"searches in turn: {workers}", f"{type(error).__name__}: {error}".partition("\n")[0])
            return
        found.append([hypotheses[0].tokens if hypotheses else () for hypotheses in answers])
        speed = sum(len(tokens) + 1 for tokens in found[-1]) / seconds
        figures = {f"searches_in_turn_{workers}": {"tokens_per_second": speed}}
        check.add(f"searches in turn: {workers}, beam 4", f"{speed:,.0f} tokens/s", "", **figures)
    others = sum(one != two for one, two in zip(*found, strict=True))
    # Both compute the same batches, in the same shapes.
    check.expect(others == 0, "translations of searches in turn", f"{others:,} of {len(sources):,} sentences differ")


def _compare_cudnn(check: Check, model: Transformer, sources: list[list[int]]) -> None:
    """The first search of a new process plans all shapes: cuDNN's attention on, then off, as decoding has it."""
    exclude_cudnn_attention()  # From here on nothing turns it off again.
    few = sources[: max(1, len(sources) // 4)]
    try:
        for name, on in (("on", True), ("off", False)):
            torch.backends.cuda.enable_cudnn_sdp(on)
            # The shapes of this batch have been asked for, but with cuDNN off.
            speed = time_search(TransformerStepModel(model, machine=check.machine), few, 4, check.wait, check.quick)
            figures = {"first_seconds": speed.first_seconds, "tokens_per_second": speed.tokens_per_second}
            check.add(
                f"cuDNN attention {name}, beam 4", f"{speed.first_seconds:.2f} s the first time",
                f"{speed.tokens_per_second:,.0f} tokens/s after that", **{f"cudnn_{name}": figures},
            )  # fmt: skip
    finally:
        torch.backends.cuda.enable_cudnn_sdp(False)
