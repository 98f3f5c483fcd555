"""Measure training: target tokens/s of our step against a plain loop around Hugging Face's model of the same shape.

All contenders have the same shape, vocabulary, dropout, label smoothing, first weights and batches; before
the clock starts it is checked that they get the same tokens, count as many parameters and compute the same
loss. Each lives in a process of its own, because the C allocator's settings hold for a whole process, and
they take turns, never two at once. This says nothing about quality, or about speed on a GPU.

The ceiling is what a product of two square matrices of 2,048 reaches in the number format of our step. A share of it is
the arithmetic of the model's matrix products (attention's and the loss's included, pads left out) done in that time.

Needs the `bench` extra: `scripts/setup bench`, then `.venv/bin/python scripts/bench_train.py --shape both`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.hf_model import PAD, hf_model
from scripts.machine import machine_facts
from translator.attention import Packed
from translator.config import Config, load_config
from translator.data.arrow_file import DatasetWriter
from translator.data.batch_plan import Budget, plan_epoch
from translator.data.batches import Batch, BatchShape, SpecialTokens, make_batch
from translator.data.dataset import ParallelDataset
from translator.model import Transformer, build_model, count_parameters
from translator.runtime.device import choose_machine
from translator.runtime.host_memory import keep_freed_memory, peak_host_bytes
from translator.runtime.products import fast_products
from translator.runtime.seeding import seed_step
from translator.text import load_tokenizers
from translator.training.loss import smoothed_cross_entropy
from translator.training.state import TrainingState
from translator.training.update import Updater

SEED = 1
IGNORED = -100


@dataclass(frozen=True)
class Variant:
    """A way to run their model."""

    attention: str
    fused_adam: bool
    our_settings: bool
    """Whether the C allocator keeps what is freed, and fp32 products go where ours go."""
    bf16: bool = False
    """Whether the forward pass is inside `torch.autocast("cpu", torch.bfloat16)`."""


OURS = "translator"
VARIANTS = {
    "HF as it comes (SDPA, Adam)": Variant("sdpa", fused_adam=False, our_settings=False),
    "HF eager, fused Adam": Variant("eager", fused_adam=True, our_settings=False),
    "HF eager, fused Adam, our settings": Variant("eager", fused_adam=True, our_settings=True),
    "HF in bf16 autocast": Variant("sdpa", fused_adam=False, our_settings=False, bf16=True),
}
STEPS = {"tiny": 6, "small": 2, "base": 2}
"""Optimizer steps of a turn, so that five rounds take a few minutes."""


@dataclass(frozen=True)
class Task:
    """What every contender has to do."""

    shape: str
    config: Config
    vocabulary: int
    special_tokens: SpecialTokens
    data: Path
    threads: int
    precision: str
    """Number format of our step, fp32 or bf16; what the others compute in is in their names."""

    def first_model(self) -> Transformer:
        """Our model with the weights that every contender begins with."""
        return build_model(self.config.model, self.vocabulary, self.vocabulary, SEED)


class Check(NamedTuple):
    """What a contender says of itself before the clock starts; it must be the same for all."""

    parameters: int
    target_tokens: int
    digest: str
    """Hash of the source, decoder input and label ids, pads left out, as the model gets them."""
    loss: float
    """Label-smoothed cross-entropy without dropout, in fp32, nats a target token."""


class OurStep:
    """The step of `translator train`, with batches filled up as there."""

    def __init__(self, task: Task, dataset: ParallelDataset) -> None:
        training, machine = task.config.training, choose_machine("cpu", task.precision, task.threads)
        self.special_tokens, self.dataset, self.smoothing = task.special_tokens, dataset, training.label_smoothing
        self.model = task.first_model()
        self.shape = BatchShape()
        self.update = Updater(TrainingState.initial(self.model, training, machine), training, machine)

    def step(self, indices: np.ndarray) -> int:
        """Do one optimizer step on these pairs; return the target tokens."""
        self.model.train()
        return self.update([self._batch(indices)]).target_tokens

    @torch.no_grad()
    def check(self, indices: np.ndarray) -> Check:
        """Describe what a step on these pairs computes."""
        self.model.eval()
        batch = self._batch(indices)
        # Behind the real sentences come those that fill the batch up.
        source = batch.source.tokens[: batch.source.layout.offsets[len(indices)]]
        target = batch.target.tokens[: batch.target_tokens]
        states = self.model(batch.source, batch.target)[: batch.target_tokens]
        sums = smoothed_cross_entropy(states, self.model.output_weight, batch.labels, self.smoothing)
        loss = float(sums.smoothed) / batch.target_tokens
        ids = _digest(source, target, batch.labels)
        return Check(count_parameters(self.model), batch.target_tokens, ids, loss)

    def _batch(self, indices: np.ndarray) -> Batch:
        return make_batch(self.dataset, indices, self.special_tokens, self.shape)


class HFStep:
    """The loop that one would write around Hugging Face's model."""

    def __init__(self, task: Task, dataset: ParallelDataset, variant: Variant) -> None:
        training = task.config.training
        self.special_tokens, self.dataset, self.smoothing = task.special_tokens, dataset, training.label_smoothing
        self.bf16 = variant.bf16
        self.model = hf_model(
            task.first_model(), task.special_tokens.target_bos, task.special_tokens.target_eos, variant.attention
        )
        # fused=None is PyTorch's default: a loop over the parameters on the CPU.
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=training.learning_rate, betas=training.adam_betas,
            eps=training.adam_epsilon, fused=True if variant.fused_adam else None,
        )  # fmt: skip

    def step(self, indices: np.ndarray) -> int:
        """Do one optimizer step on these pairs; return the target tokens."""
        self.model.train()
        batch = make_batch(self.dataset, indices, self.special_tokens)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            loss = self._loss(*_hf_inputs(batch))
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return batch.target_tokens

    @torch.no_grad()
    def check(self, indices: np.ndarray) -> Check:
        """Describe what a step on these pairs computes."""
        self.model.eval()
        source, mask, target, labels = _hf_inputs(make_batch(self.dataset, indices, self.special_tokens))
        real = labels != IGNORED
        ids = _digest(source[mask.bool()], target[real], labels[real])
        parameters = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        return Check(parameters, int(real.sum()), ids, float(self._loss(source, mask, target, labels)))

    def _loss(self, source: Tensor, mask: Tensor, target: Tensor, labels: Tensor) -> Tensor:
        output = self.model(input_ids=source, attention_mask=mask, decoder_input_ids=target, use_cache=False)
        return functional.cross_entropy(
            output.logits.flatten(0, 1),
            labels.flatten(),
            ignore_index=IGNORED,
            label_smoothing=self.smoothing,
        )


def _hf_inputs(batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pad a batch: source ids and mask `[N, S]`, decoder input and labels `[N, T]`.

    No mask for the decoder: causality hides pads from real positions, and their model is faster without one.
    """
    labels = Packed(batch.labels, batch.target.layout)
    mask = batch.source.layout.mask.long()
    return _padded(batch.source, PAD), mask, _padded(batch.target, PAD), _padded(labels, IGNORED)


def _padded(packed: Packed, fill: int) -> Tensor:
    mask = packed.layout.mask
    return torch.full(mask.shape, fill).masked_scatter_(mask, packed.tokens)


def _digest(*ids: Tensor) -> str:
    return hashlib.sha256(b"|".join(part.numpy().tobytes() for part in ids)).hexdigest()[:16]


class Timing(NamedTuple):
    """One contender's turn."""

    target_tokens: int
    seconds: float
    peak_bytes: int
    """The most memory that its process has had resident so far."""


def serve(connection: Connection, name: str, task: Task, checked: np.ndarray) -> None:
    """Be a contender: send a `Check`, then a `Timing` for every list of batches until None comes."""
    torch.set_num_threads(task.threads)
    variant = VARIANTS.get(name)
    settings = variant is None or variant.our_settings
    if settings and not keep_freed_memory():
        print(f"{name}: this C library takes no allocator settings", file=sys.stderr)
    dataset = ParallelDataset.open(task.data)
    contender = OurStep(task, dataset) if variant is None else HFStep(task, dataset, variant)
    connection.send(contender.check(checked))
    steps = 0
    while (batches := connection.recv()) is not None:
        began, tokens = time.perf_counter(), 0
        for indices in batches:
            seed_step(SEED, steps)
            with fast_products() if settings else contextlib.nullcontext():
                tokens += contender.step(indices)
            steps += 1
        connection.send(Timing(tokens, time.perf_counter() - began, peak_host_bytes()))


class Worker:
    """A contender in a process of its own, idle except while it is asked."""

    def __init__(self, name: str, task: Task, checked: np.ndarray) -> None:
        self.name = name
        # Spawned, not forked: a child must not inherit an allocator or threads that were used before.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, name, task, checked), daemon=True)
        self.process.start()
        theirs.close()
        self.check: Check = self._receive()

    def run(self, batches: Sequence[np.ndarray]) -> Timing:
        """Train on `batches` and wait for the end."""
        self.connection.send(batches)
        timing: Timing = self._receive()
        return timing

    def _receive(self) -> Any:
        try:
            return self.connection.recv()
        except EOFError:
            raise SystemExit(f"{self.name}: its process has ended, see above") from None


@contextlib.contextmanager
def contenders(task: Task, checked: np.ndarray) -> Iterator[list[Worker]]:
    """Start all contenders, one after another, and end them afterwards."""
    workers = [Worker(name, task, checked) for name in (OURS, *VARIANTS)]
    yield workers
    for worker in workers:
        worker.connection.send(None)
        worker.process.join()


@dataclass(frozen=True)
class Result:
    """Figures of one shape, by contender."""

    task: Task
    checks: dict[str, Check]
    rates: dict[str, list[float]]
    """Target tokens/s of every round."""
    peaks: dict[str, int]
    """Peak memory in bytes."""
    flops_per_token: float
    """Of a target token, with its share of the source."""
    ceiling: float
    """FLOP/s of a large matrix product in the precision of our step."""

    @property
    def medians(self) -> dict[str, float]:
        """Target tokens/s, median over the rounds."""
        return {name: statistics.median(rates) for name, rates in self.rates.items()}

    @property
    def ratios(self) -> dict[str, float]:
        """How many times as fast ours is, by medians."""
        return {name: self.medians[OURS] / median for name, median in self.medians.items()}


def measure(task: Task, rounds: list[list[np.ndarray]], warmup: int) -> Result:
    """Let the contenders take turns on the same batches, in another order every round."""
    with contenders(task, rounds[0][0]) as workers:
        checks = {worker.name: worker.check for worker in workers}
        compare(checks)
        # Batches of the longest and the shortest sentences, so that every size of block has been allocated.
        by_count = sorted((batch for batches in rounds for batch in batches), key=len)
        for worker in workers:
            worker.run([by_count[-(number % 2)] for number in range(warmup)])
        rates: dict[str, list[float]] = {worker.name: [] for worker in workers}
        peaks: dict[str, int] = {}
        ceilings = []
        for number, batches in enumerate(rounds):
            first = number % len(workers)
            timings = {worker.name: worker.run(batches) for worker in workers[first:] + workers[:first]}
            for name, timing in timings.items():
                rates[name].append(timing.target_tokens / timing.seconds)
                peaks[name] = timing.peak_bytes
            if len({timing.target_tokens for timing in timings.values()}) != 1:
                raise SystemExit(f"round {number + 1}: expected as many target tokens for all, found {timings}")
            seconds = sum(timing.seconds for timing in timings.values())
            ceilings.append(product_speed(task))
            print(f"{task.shape}: round {number + 1} of {len(rounds)}, {seconds:.0f} s", file=sys.stderr)
    return Result(task, checks, rates, peaks, flops_per_token(task, rounds), statistics.median(ceilings))


def product_speed(task: Task, size: int = 2048, times: int = 5) -> float:
    """FLOP/s of a product of two square matrices, as our step computes it: the best of some."""
    torch.set_num_threads(task.threads)
    matrix = torch.randn(size, size).to(torch.bfloat16 if task.precision == "bf16" else torch.float32)
    best = 0.0
    with fast_products():
        for _ in range(times):
            began = time.perf_counter()
            _ = matrix @ matrix
            best = max(best, 2.0 * size**3 / (time.perf_counter() - began))
    return best


def flops_per_token(task: Task, rounds: list[list[np.ndarray]]) -> float:
    """Count the matrix products of a step on the batches of `rounds`, forward and backward, for each target token."""
    model, dataset = task.config.model, ParallelDataset.open(task.data)
    indices = np.concatenate([batch for batches in rounds for batch in batches])
    source, target = dataset.source_lengths[indices] + 1.0, dataset.target_lengths[indices] + 1.0
    d_model, d_ff = model.d_model, model.d_ff
    encoder = model.encoder_layers * (source * (4 * d_model**2 + 2 * d_model * d_ff) + 2 * source**2 * d_model)
    decoder = model.decoder_layers * (
        target * (6 * d_model**2 + 2 * d_model * d_ff)
        + source * 2 * d_model**2
        + 2 * target * (target + source) * d_model
    )
    multiplications = encoder + decoder + target * d_model * task.vocabulary
    # A multiplication and an addition; the backward pass has two products for each one of the forward pass.
    return float(6.0 * multiplications.sum() / target.sum())


def compare(checks: dict[str, Check]) -> None:
    """Stop unless all contenders get the same tokens and compute the same loss with as many parameters."""
    ours = checks[OURS]
    for name, check in checks.items():
        if (check.target_tokens, check.digest) != (ours.target_tokens, ours.digest):
            raise SystemExit(f"{name} gets other tokens than {OURS}: {check} against {ours}")
        if abs(check.parameters - ours.parameters) > 0.01 * ours.parameters:
            raise SystemExit(f"{name} has {check.parameters:,} parameters, {OURS} has {ours.parameters:,}")
        if not abs(check.loss - ours.loss) <= 1e-3:
            raise SystemExit(f"{name} computes the loss {check.loss:.5f}, {OURS} computes {ours.loss:.5f}")


def plan_rounds(task: Task, rounds: int, steps: int) -> list[list[np.ndarray]]:
    """Choose batches of an epoch so that every round has short and long sentences in equal shares."""
    dataset = ParallelDataset.open(task.data)
    epoch = plan_epoch(dataset, Budget(int(task.config.training.batch_tokens)), "bucketed", SEED, 0)
    by_length = sorted(epoch, key=lambda indices: float(dataset.target_lengths[indices].mean()))
    # The last one, of the longest sentences, is what was left and seldom full.
    indices = np.linspace(0, max(len(by_length) - 2, 0), rounds * steps).round().astype(int)
    random = np.random.default_rng(SEED)
    return [[by_length[index] for index in random.permutation(indices[first::rounds])] for first in range(rounds)]


def write_synthetic(path: Path, vocabulary: int, pairs: int = 30_000) -> None:
    """Write pairs like image captions: as long, in pieces, and with pieces as frequent as in Zipf's law.

    Both sides have about 14 pieces; lengths and their ratio are log-normal with the spread of Multi30k's.
    """
    random = np.random.default_rng(SEED)
    middles = random.lognormal(np.log(14.0), 0.33, pairs)
    frequencies = 1.0 / np.arange(10, vocabulary + 7)
    sides: list[list[list[int]]] = []
    for ratio in (random.lognormal(0.0, 0.17, pairs), 1.0):
        lengths = (middles * ratio).round().clip(2, 100).astype(int)
        # Ids 0 to 2 are the unknown piece and the special tokens.
        known, shares = np.arange(3, vocabulary), frequencies / frequencies.sum()
        pieces = random.choice(known, size=int(lengths.sum()), p=shares)
        sides.append([sentence.tolist() for sentence in np.split(pieces, lengths.cumsum()[:-1])])
    with DatasetWriter(path, with_text=False) as writer:
        writer.write(sides[0], sides[1])


def make_task(shape: str, options: argparse.Namespace, directory: Path) -> Task:
    """Settle shape, vocabulary and data; synthetic pairs go into `directory`."""
    # A tiny learning rate: there is no warm-up here, and numbers that are not finite would change the speed.
    batch = f"training.batch_tokens={options.batch_tokens}"
    settings = [f"preset={shape}", batch, "training.learning_rate=1e-5"]
    config = load_config(overrides=settings)
    if options.data is None:
        vocabulary = options.vocabulary or config.tokenizer.vocab_size
        special_tokens, data = SpecialTokens(source_eos=2, target_bos=1, target_eos=2), directory / "train.arrow"
        write_synthetic(data, vocabulary)
    else:
        tokenizers = load_tokenizers(options.data)
        if not tokenizers.joint:
            raise SystemExit(f"--data {options.data}: expected one joint vocabulary, found two")
        tokenizer = tokenizers.target
        vocabulary, data = tokenizer.vocab_size, options.data / "train.arrow"
        special_tokens = SpecialTokens(tokenizer.eos_id, tokenizer.bos_id, tokenizer.eos_id)
    precision = choose_machine("cpu", options.precision, options.threads).precision
    return Task(shape, config, vocabulary, special_tokens, data, options.threads, precision)


def report(result: Result) -> str:
    """Lay out the figures of one shape."""
    task, model, check = result.task, result.task.config.model, result.checks[OURS]
    ratios, medians = result.ratios, result.medians
    lines = [
        f"{task.shape}: {model.encoder_layers}+{model.decoder_layers} layers, d_model {model.d_model}, "
        f"d_ff {model.d_ff}, {model.num_heads} heads, vocabulary {task.vocabulary:,}, "
        f"dropout {model.dropout}; ours in {task.precision}",
        "parameters: " + ", ".join(f"{name} {each.parameters:,}" for name, each in result.checks.items()),
        f"same tokens for all: {check.target_tokens:,} in the batch compared, hash {check.digest}",
        "loss there: " + ", ".join(f"{name} {each.loss:.5f}" for name, each in result.checks.items()),
        "",
        f"{'contender':<35}{'target tokens/s, median (min-max)':<36}{'ours / it':<11}peak GiB",
    ]
    for name, rates in result.rates.items():
        figures = f"{medians[name]:,.0f} ({min(rates):,.0f}-{max(rates):,.0f})"
        lines.append(f"{name:<35}{figures:<36}{ratios[name]:<11.2f}{result.peaks[name] / 2**30:.2f}")
    share = medians[OURS] * result.flops_per_token / result.ceiling
    lines += [
        "",
        f"ceiling: {result.ceiling / 1e9:,.0f} GFLOP/s in {task.precision}, {result.flops_per_token / 1e6:.1f} MFLOP a "
        f"target token, so {result.ceiling / result.flops_per_token:,.0f} target tokens/s; ours is at {share:.0%}",
    ]
    return "\n".join(lines)


def as_json(results: Sequence[Result], machine: dict[str, str]) -> str:
    """All figures, every round included."""
    shapes = [
        {
            "shape": result.task.shape,
            "model": result.task.config.model.model_dump(mode="json"),
            "vocabulary": result.task.vocabulary,
            "precision": result.task.precision,
            "checks": {name: check._asdict() for name, check in result.checks.items()},
            "tokens_per_second": result.rates,
            "median": result.medians,
            "ratio": result.ratios,
            "peak_bytes": result.peaks,
            "flops_per_target_token": result.flops_per_token,
            "ceiling_flops_per_second": result.ceiling,
        }
        for result in results
    ]
    variants = {name: asdict(variant) for name, variant in VARIANTS.items()}
    return json.dumps({"machine": machine, "variants": variants, "shapes": shapes}, indent=2)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--shape", choices=("tiny", "small", "both", "base"), default="tiny", help="default tiny")
    add("--rounds", type=int, default=5, help="turns of every contender (default 5)")
    add("--steps", type=int, help="optimizer steps of a turn (default 6 for tiny, 2 for small and base)")
    add("--batch-tokens", type=int, default=4096, help="target tokens of a batch (default 4,096)")
    add("--warmup", type=int, default=2, help="steps of every contender before the clock starts (default 2)")
    add("--threads", type=int, default=2, help="CPU threads (default 2)")
    add("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="of our step (default auto)")
    add("--data", type=Path, metavar="PREPARED_DIR", help="prepared data instead of synthetic pairs")
    add("--vocabulary", type=int, help="of synthetic pairs (default: the preset's: 8,000, 10,000 and 32,000)")
    add("--json", type=Path, metavar="FILE", help="write all figures there too")
    return parser.parse_args(arguments)


def main() -> None:
    """Measure what was asked for."""
    options = parse()
    machine, results = machine_facts(options.threads, ["torch", "transformers"]), []
    for shape in ("tiny", "small") if options.shape == "both" else (options.shape,):
        with tempfile.TemporaryDirectory() as directory:
            task = make_task(shape, options, Path(directory))
            results.append(
                measure(task, plan_rounds(task, options.rounds, options.steps or STEPS[shape]), options.warmup)
            )
        print(report(results[-1]) + "\n", flush=True)
    print("\n".join(f"{name}: {value}" for name, value in machine.items()))
    if options.json:
        options.json.write_text(as_json(results, machine) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
