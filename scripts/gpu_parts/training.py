"""Parts about training steps on synthetic batches: precisions against fp32, one rank of NCCL, eager and compiled."""

import tempfile
import time

import torch
import torch.distributed as dist
from torch import Tensor

from scripts.gpu_parts.check import Check
from scripts.gpu_parts.synthetic import VOCABULARY, SyntheticPairs, batches_of, training_flops_per_token
from translator.config import Config
from translator.data.batches import Batch
from translator.distributed.world import World
from translator.model import Transformer, build_model
from translator.runtime.device import Machine
from translator.training.loss import batch_loss
from translator.training.optimizer import make_optimizer
from translator.training.parallel import Parallel, Replicated, Sharded
from translator.training.state import TrainingState
from translator.training.update import Updater

STEPS = 20


def precision(check: Check) -> None:
    """Losses of twenty steps and gradients of the first, in half precision and by one rank, against plain fp32."""
    config = check.preset("tiny", "model.dropout=0")
    vocabulary = 500 if check.quick else 8000
    batches = batches_of(SyntheticPairs(400 if check.quick else 4000, vocabulary), 500 if check.quick else 4096, False)
    steps = 3 if check.quick else STEPS
    chosen = [batches[index % len(batches)] for index in range(steps)]
    exact = check.machine_in("fp32")
    expected = _gradients(config, vocabulary, exact, batches[0])
    losses = _losses(_updater(config, vocabulary, exact), chosen)
    check.add("fp32", f"{losses[0]:.3f} to {losses[-1]:.3f} nats in {steps} steps", fp32_losses=losses)
    for name, allowed in (("bf16", 0.05), ("fp16", 0.02)):
        if name == "fp16" and check.device.type == "cpu":
            continue
        machine = check.machine_in(name)
        distance = _distance(_gradients(config, vocabulary, machine, batches[0]), expected)
        check.expect(distance <= allowed, f"gradients, {name}", f"{distance:.2%} from fp32, allowed {allowed:.0%}")
        found = _losses(_updater(config, vocabulary, machine), chosen)
        apart = max(abs(one - other) / other for one, other in zip(found, losses, strict=True))
        check.expect(apart <= 0.02, f"losses, {name}", f"up to {apart:.2%} from fp32, allowed 2%")
    with tempfile.NamedTemporaryFile() as store:
        backend = "nccl" if check.device.type == "cuda" else "gloo"
        dist.init_process_group(backend, init_method=f"file://{store.name}", rank=0, world_size=1)
        try:
            for kind in (Replicated, Sharded):
                found = _losses(_updater(config, vocabulary, exact, kind), chosen)
                apart = max(abs(one - other) / other for one, other in zip(found, losses, strict=True))
                check.expect(apart <= 1e-3, f"one rank of {backend}, {kind.__name__}", f"losses {apart:.1e} apart")
        finally:
            dist.destroy_process_group()


def _gradients(config: Config, vocabulary: int, machine: Machine, batch: Batch) -> list[Tensor]:
    """Gradients of the loss a token, at the initial weights."""
    model = build_model(config.model, vocabulary, vocabulary, seed=1).to(machine.device).train()
    scale = 1024.0 if machine.precision == "fp16" else 1.0
    loss = batch_loss(model, batch.to(machine.device), machine, smoothing=0.1, dtype=machine.dtype)
    (scale * loss.objective / batch.target_tokens).backward()
    return [weight.grad.float() / scale for weight in model.parameters() if weight.grad is not None]


def _distance(found: list[Tensor], expected: list[Tensor]) -> float:
    """The norm of the difference over the norm of what is expected."""
    flat, wanted = (torch.cat([tensor.flatten() for tensor in tensors]) for tensors in (found, expected))
    return float((flat - wanted).norm() / wanted.norm())


def _updater(config: Config, vocabulary: int, machine: Machine, kind: type[Parallel] | None = None) -> Updater:
    model = build_model(config.model, vocabulary, vocabulary, seed=1)
    if kind is None:
        return Updater(TrainingState.initial(model, config.training, machine), config.training, machine)
    parallel = kind(model, World(), machine.device)  # type: ignore[call-arg]
    scaler = torch.amp.GradScaler(machine.device.type, enabled=machine.precision == "fp16")
    state = TrainingState(model, make_optimizer(model, config.training), None, scaler, parallel)
    return Updater(state, config.training, machine)


def _losses(update: Updater, batches: list[Batch]) -> list[float]:
    """The loss of every step, in nats per target token, before its weights change."""
    update.state.model.train()
    sums = [update([batch]) for batch in batches]
    return [float(one.smoothed) / one.target_tokens for one in sums]


def eager(check: Check) -> None:
    """Target tokens a second of base and big without compilation, and where the time of a step goes."""
    for name in ("base", "big"):
        config = check.preset(name)
        rate, update, batches = training_rate(check, config, compiled=False, steps=20)
        report_rate(check, f"{name}, eager", rate, update.state.model)
        table = _profile(check, update, batches[0])
        (check.output / f"profile-{name}.txt").write_text(table, encoding="utf-8")
        del update


def base_compiled(check: Check) -> None:
    """Base, compiled."""
    _compiled(check, "base")


def big_compiled(check: Check) -> None:
    """Big, compiled."""
    _compiled(check, "big")


def _compiled(check: Check, name: str) -> None:
    with check.compiler():
        rate, update, _ = training_rate(check, check.preset(name), compiled=True, steps=60)
    report_rate(check, f"{name}, compiled", rate, update.state.model)


def training_rate(check: Check, config: Config, compiled: bool, steps: int) -> tuple[float, Updater, list[Batch]]:
    """Whole training steps on synthetic batches of one shape: forward, loss, backward, Adam; tokens a second."""
    vocabulary = 500 if check.quick else VOCABULARY
    tokens = 500 if check.quick else check.options.batch_tokens
    steps = 3 if check.quick else steps
    batches = batches_of(SyntheticPairs(tokens // 4, vocabulary), tokens, fixed=True)
    model = build_model(config.model, vocabulary, vocabulary, seed=1)
    state = TrainingState.initial(model, config.training, check.machine)
    update = Updater(state, config.training, check.machine)
    if compiled:
        update.compile()
    state.model.train()
    check.peak_gib()
    began = time.perf_counter()
    update([batches[0]])
    check.wait()
    first = time.perf_counter() - began
    check.add("first step", f"{first:.1f} s", "with compilation" if compiled else "", first_step_seconds=first)
    for batch in batches[1:3]:
        update([batch])
    check.wait()
    began, done, count = time.perf_counter(), 0, 0
    while count < steps and (count < 3 or check.left > 5.0):
        done += update([batches[count % len(batches)]]).target_tokens
        count += 1
        if count % 5 == 0:
            check.wait()
    check.wait()
    return done / (time.perf_counter() - began), update, batches


def report_rate(check: Check, what: str, rate: float, model: Transformer) -> None:
    """Add target tokens a second, next to what the matrix product of this device would allow."""
    ceiling = check.ceiling("matmul_tflops")
    pairs = SyntheticPairs(1000, 500)
    share = training_flops_per_token(model, pairs) * rate / (ceiling * 1e12) if ceiling else None
    peak = check.peak_gib()
    notes = [f"{share:.0%} of the matrix product" if share else "", f"peak {peak:.1f} GiB" if peak else ""]
    figure = {"tokens_per_second": rate, "share_of_matmul": share, "peak_gib": peak}
    name = what.replace(", ", "_")
    check.add(f"training, {what}", f"{rate:,.0f} target tokens/s", ", ".join(filter(None, notes)), **{name: figure})


def _profile(check: Check, update: Updater, batch: Batch) -> str:
    """A table of one step by kernels, the slowest first."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if check.device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        update([batch])
        check.wait()
    key = "self_cuda_time_total" if check.device.type == "cuda" else "self_cpu_time_total"
    return str(profile.key_averages().table(sort_by=key, row_limit=40))
