"""Checks and times everything on one CUDA device in one call, without a network.

    python scripts/gpu_check.py [--multi30k DIRECTORY] [--json FILE]

Parts, in order: `ceilings` (copy bandwidth and bf16 matrix product of this device, which the rest is compared
with), `kernels` (varlen against padded against explicit attention, values and gradients), `steps` (decoding steps of
base that are replayed as CUDA graphs against plain ones: logits, and time next to what the ceilings allow), `training`
(target tokens/s of base and big on batches of one shape, compiled), `multi30k` (the tiny model trained to its end
through `translator train`) and `decoding` (translations, tokens/s and latency of that model, plain and replayed).
Prints a table in Markdown. With `--device cpu --quick` it runs anywhere in a minute, to test the script and not the
machine.
"""

import argparse
import dataclasses
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.gpu_decoding import errors_in_lockstep, random_sources, step_seconds, time_search, work_of_step
from translator.attention import Layout, attend, attention_weights
from translator.attention.kernels import choose_kernel
from translator.attention.padded import attend_padded, to_packed
from translator.checkpoints import Bundle, load_bundle
from translator.config import Config, load_config, resolve_preset
from translator.data import Gathered, load_prepared
from translator.data.batch_plan import plan_epoch
from translator.data.batches import BatchShape, SpecialTokens, make_batch
from translator.inference import TransformerStepModel
from translator.inference.cuda_graphs import GraphedStepModel
from translator.model import Transformer, build_model, count_parameters
from translator.runtime.device import Machine, choose_machine
from translator.training import train
from translator.training.state import TrainingState
from translator.training.update import Updater

PARTS = ("ceilings", "kernels", "steps", "training", "multi30k", "decoding")
SPECIAL_TOKENS = SpecialTokens(source_eos=2, target_bos=1, target_eos=2)
VOCABULARY = 37_000


@dataclasses.dataclass
class Row:
    """One line of the table."""

    what: str
    value: str
    note: str = ""


class Check:
    """The parts, and what they have found so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.quick: bool = options.quick
        self.machine = choose_machine(options.device, options.precision)
        self.device = self.machine.device
        self.rows: list[Row] = []
        self.figures: dict[str, Any] = {"torch": torch.__version__, "device": str(self.machine)}
        self.failures = 0
        self.run = Path(options.run)

    def add(self, what: str, value: str, note: str = "") -> None:
        """Keep a line and print it at once."""
        self.rows.append(Row(what, value, note))
        print(f"  {what}: {value}  {note}", flush=True)

    def seconds(self, action: Callable[[], object], repeats: int = 10) -> float:
        """Median seconds of `action`, after three calls for warming up."""
        times = []
        for attempt in range(3 + repeats):
            self.wait()
            began = time.perf_counter()
            action()
            self.wait()
            if attempt >= 3:
                times.append(time.perf_counter() - began)
        return statistics.median(times)

    def wait(self) -> None:
        """Let the device finish."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def ceilings(self) -> None:
        """Copy bandwidth, counting bytes read and written, and the bf16 matrix product, on random data."""
        count = 1 << (20 if self.quick else 30)
        numbers = torch.empty(count, dtype=torch.float32, device=self.device).normal_()
        target = torch.empty_like(numbers)
        gigabytes = 2 * 4 * count / self.seconds(lambda: target.copy_(numbers)) / 1e9
        size = 512 if self.quick else 8192
        left, right = torch.randn(2, size, size, device=self.device).to(torch.bfloat16)
        teraflops = 2 * size**3 / self.seconds(lambda: left @ right) / 1e12
        self.figures |= {"copy_gb_per_second": gigabytes, "matmul_tflops": teraflops}
        self.add("copy bandwidth", f"{gigabytes:,.0f} GB/s", "read and written bytes")
        self.add("bf16 matrix product", f"{teraflops:,.1f} TFLOP/s", f"{size} cubed")

    def kernels(self) -> None:
        """Attention of random sentences, an empty one among them: values and gradients of every kernel."""
        for dtype, tolerance in ((torch.float32, 1e-4), (torch.bfloat16, 3e-2), (torch.float16, 4e-3)):
            if dtype == torch.float16 and self.device.type == "cpu":
                continue
            for use in ("self", "causal", "cross"):
                error = self._kernel_error(dtype, use)
                self.failures += error > tolerance
                verdict = "agrees" if error <= tolerance else f"FAILS (expected at most {tolerance:g})"
                kernel = choose_kernel(torch.empty(1, 1, 64, dtype=dtype, device=self.device))
                self.add(f"{kernel}, {str(dtype)[6:]}, {use}", verdict, f"largest error {error:.1e}")

    def _kernel_error(self, dtype: torch.dtype, use: str) -> float:
        """Largest difference of `attend` and of the padded kernel from the explicit weights in fp32."""
        torch.manual_seed(1)
        random = np.random.default_rng(1)
        rows = columns = random_layout(random.integers(0, 90, 64), self.device)
        if use == "cross":
            # Real sentences have a source; an empty one is only ever filler without a target.
            columns = random_layout(random.integers(1, 90, 64), self.device)
        sizes = [int(layout.offsets[-1]) for layout in (rows, columns)]
        query = torch.randn(sizes[0], 8, 64, device=self.device).to(dtype).requires_grad_()
        key, value = (torch.randn(sizes[1], 8, 64, device=self.device).to(dtype).requires_grad_() for _ in range(2))
        upstream = torch.randn(sizes[0], 8, 64, device=self.device).to(dtype)
        causal = use == "causal"
        wide = tuple(part.detach().float().requires_grad_() for part in (query, key, value))
        expected = [explicit(wide[0], wide[1], wide[2], rows, columns, causal)]
        expected += torch.autograd.grad(expected[0], wide, upstream.float())
        worst = 0.0
        for kernel in (attend, attend_padded):
            found = [kernel(query, key, value, rows, columns, causal, 0.0)]
            found += torch.autograd.grad(found[0], (query, key, value), upstream)
            for mine, reference in zip(found, expected, strict=True):
                scale = max(1.0, float(reference.detach().abs().max()))
                worst = max(worst, float((mine.float() - reference).detach().abs().max()) / scale)
        return worst

    def steps(self) -> None:
        """Decoding steps of a random base model: logits in every precision, then the time of one step."""
        on_gpu = self.device.type == "cuda"
        config = self._preset("base")
        vocabulary = 500 if self.quick else VOCABULARY
        model = build_model(config.model, vocabulary, vocabulary, seed=1).to(self.device).eval()
        exact = TransformerStepModel(model, machine=Machine(self.device, "fp32"))
        sources = random_sources(5 if self.quick else 50, vocabulary, 40)
        for precision in ("fp32", "bf16", "fp16") if on_gpu else ("fp32", "bf16"):
            machine = Machine(self.device, precision)
            plain, replayed = TransformerStepModel(model, machine=machine), GraphedStepModel(model, machine=machine)
            # Shapes are recorded when they come back: the last time, all of them are replayed.
            for _ in range(1 if self.quick else 4):
                errors = errors_in_lockstep([exact, plain, replayed], sources, vocabulary, 5, 40)
            allowed = 1e-4 if precision == "fp32" else 1.2 * errors[0]
            recorded = replayed.recordings > 0 or not on_gpu
            agrees = errors[1] <= allowed and recorded
            self.failures += not agrees
            verdict = "agrees" if agrees else f"FAILS (expected at most {allowed:.1e}, and recordings)"
            self.add(
                f"replayed steps, {precision}", verdict,
                f"mean error {errors[1]:.1e}, of plain ones {errors[0]:.1e}; {replayed.recordings} graphs",
            )  # fmt: skip
        for sentences, width in ((1, 1), (1, 5), (128, 5)):
            self._time_steps(model, vocabulary, sentences, width)

    def _time_steps(self, model: Transformer, vocabulary: int, sentences: int, width: int) -> None:
        first, count, memory = (2, 2, 5) if self.quick else (20, 10, 30)
        sources = random_sources(sentences, vocabulary, memory - 1)
        bytes_each = torch.finfo(self.machine.dtype).bits // 8
        work = work_of_step(model, sentences, width, memory, first + count // 2, bytes_each)
        ceilings = [self.figures.get(name, math.inf) for name in ("copy_gb_per_second", "matmul_tflops")]
        least = max(work.bytes / (ceilings[0] * 1e9), work.flops / (ceilings[1] * 1e12))
        for name, kind in (("plain", TransformerStepModel), ("replayed", GraphedStepModel)):
            seconds = step_seconds(kind(model, machine=self.machine), sources, width, first, count, self.wait)
            figure = {"microseconds": 1e6 * seconds, "share_of_ceiling": least / seconds}
            self.figures[f"step_{name}_{sentences}x{width}"] = figure
            self.add(
                f"step of base, {name}, {self.machine.precision}, {sentences} x {width}", f"{1e6 * seconds:,.0f} us",
                f"{least / seconds:.0%} of what bandwidth or matrix product allow" if least else "",
            )  # fmt: skip

    def _preset(self, name: str) -> Config:
        config = resolve_preset(load_config(None, [f"preset={name}"]))
        if not self.quick:
            return config
        small = {"d_model": 32, "d_ff": 64, "encoder_layers": 1, "decoder_layers": 1, "num_heads": 2}
        return config.model_copy(update={"model": config.model.model_copy(update=small)})

    def training(self) -> None:
        """Whole training steps on synthetic batches of one shape: forward, loss, backward, Adam."""
        for preset in ("base", "big"):
            rate, share, memory = self._training_rate(self._preset(preset))
            self.figures[f"training_{preset}"] = {"tokens_per_second": rate, "share_of_matmul": share}
            self.add(
                f"training, {preset}", f"{rate:,.0f} target tokens/s",
                f"{share:.0%} of the matrix product, peak memory {memory:.1f} GiB" if share else "",
            )  # fmt: skip

    def _training_rate(self, config: Config) -> tuple[float, float, float]:
        vocabulary = 500 if self.quick else VOCABULARY
        tokens = 500 if self.quick else self.options.batch_tokens
        pairs: Any = SyntheticPairs(tokens // 4, vocabulary)
        model = build_model(config.model, vocabulary, vocabulary, seed=1).to(self.device).train()
        shape = BatchShape.fixed(pairs, tokens, pairs.longest)
        batches = [
            make_batch(pairs, indices, SPECIAL_TOKENS, shape)
            for indices in plan_epoch(pairs, shape.budget, "random", 1, 0)
        ][:-1]
        state = TrainingState.initial(model, config.training, self.machine)
        update = Updater(state, config.training, self.machine)
        if self.device.type == "cuda":
            update.compile()
        for batch in batches[:3]:
            update([batch])
        self.wait()
        began, done = time.perf_counter(), 0
        for step in range(4 if self.quick else 60):
            done += update([batches[step % len(batches)]]).target_tokens
        self.wait()
        rate = done / (time.perf_counter() - began)
        flops = training_flops_per_token(model, pairs) * rate
        ceiling = self.figures.get("matmul_tflops", math.inf) * 1e12
        memory = torch.cuda.max_memory_allocated() / 2**30 if self.device.type == "cuda" else 0.0
        return rate, flops / ceiling, memory

    def multi30k(self) -> None:
        """Train configs/multi30k-en-de.yaml to its end from text files; without them, the sample corpus."""
        root = Path(__file__).parents[1]
        if self.options.multi30k:
            corpus = Path(self.options.multi30k)
            names = {"train": "train", "valid": "val", "test": "test_2016_flickr"}
            settings = [f"data.{key}={corpus / name}.{{en,de}}.gz" for key, name in names.items()]
            path = root / "configs" / "multi30k-en-de.yaml"
        else:
            settings = [f"data.{name}={root / 'data' / name}.{{en,de}}" for name in ("train", "valid", "test")]
            path = root / "configs" / "sample-en-de.yaml"
        settings += [f"run={self.run}", f"device={self.device.type}", f"precision={self.machine.precision}"]
        if self.quick:
            settings += ["training.max_steps=4", "training.validate_every=2", "training.validation_sentences=4"]
        began = time.perf_counter()
        result = train(load_config(path, settings))
        minutes = (time.perf_counter() - began) / 60
        self.figures["multi30k"] = {"validation_bleu": result.bleu, "minutes": minutes, "steps": result.steps}
        self.add(f"{path.stem}, {result.steps:,} steps", f"{minutes:.1f} minutes", f"validation BLEU {result.bleu:.2f}")

    def decoding(self) -> None:
        """Greedy and beam search with the model of the part before, tokenisation left out: alike, and how fast."""
        for precision in ("fp32", "bf16", "fp16") if self.device.type == "cuda" else ("fp32",):
            bundle = load_bundle(self.run, device=self.device.type, precision=precision)
            valid = load_prepared(self.run / "prepared", bundle.config).valid
            count = 8 if self.quick else 2000
            self.compare_searches(bundle, [valid.source(index).tolist() for index in range(min(len(valid), count))])

    def compare_searches(self, bundle: Bundle, sources: list[list[int]]) -> None:
        """Plain against replayed steps, in the precision of the bundle."""
        precision = bundle.machine.precision
        for beam in (1, 5):
            plain = time_search(TransformerStepModel.of(bundle), sources, beam, self.wait)
            replayed = time_search(GraphedStepModel.of(bundle), sources, beam, self.wait)
            others = sum(one != other for one, other in zip(plain.found, replayed.found, strict=True))
            # In half precision, the order of two hypotheses may hang on the rounding of a sum.
            allowed = len(sources) // (200 if precision == "fp32" else 10)
            self.failures += others > allowed
            verdict = "agrees" if others <= allowed else f"FAILS (at most {allowed:,} allowed)"
            self.add(f"decoding, {precision}, beam {beam}", verdict, f"{others:,} of {len(sources):,} sentences differ")
            for name, speed in (("plain", plain), ("replayed", replayed)):
                figure = {"tokens_per_second": speed.tokens_per_second, "milliseconds_alone": speed.milliseconds}
                self.figures[f"decoding_{precision}_beam_{beam}_{name}"] = figure
                self.add(
                    f"decoding, {precision}, beam {beam}, {name}", f"{speed.tokens_per_second:,.0f} tokens/s",
                    f"{speed.milliseconds:.1f} ms for a sentence alone",
                )  # fmt: skip


class SyntheticPairs:
    """Random pairs with the lengths of news text; as much of a ParallelDataset as batches need."""

    longest = 100

    def __init__(self, count: int, vocabulary: int) -> None:
        random = np.random.default_rng(1)
        lengths = np.clip(random.lognormal(3.2, 0.55, count), 2, self.longest)
        self.source_lengths = lengths.astype(np.int32)
        ratio = random.normal(1.0, 0.15, count)
        self.target_lengths = np.clip(lengths * ratio, 2, self.longest).astype(np.int32)
        self.vocabulary = vocabulary

    def __len__(self) -> int:
        return len(self.source_lengths)

    def gather(self, indices: np.ndarray) -> Gathered:
        """Random tokens in the lengths of the pairs."""
        random = np.random.default_rng(int(indices[0]))
        parts: list[np.ndarray] = []
        for lengths in (self.source_lengths[indices], self.target_lengths[indices]):
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
            parts += [random.integers(3, self.vocabulary, offsets[-1]).astype(np.int32), offsets]
        return Gathered(*parts)


def random_layout(lengths: np.ndarray, device: torch.device) -> Layout:
    """A layout of sentences of these lengths."""
    offsets = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    return Layout(offsets.to(device), int(lengths.max()))


def explicit(
    query: Tensor, key: Tensor, value: Tensor, query_layout: Layout, key_layout: Layout, causal: bool
) -> Tensor:
    """Attention by the explicit weights, `[Tq, H, D]`."""
    weights = attention_weights(query, key, query_layout, key_layout, causal)
    grid = value.new_zeros(key_layout.num_sentences * key_layout.max_length, *value.shape[1:])
    grid = grid.index_copy(0, key_layout.cells, value)
    grid = grid.view(key_layout.num_sentences, key_layout.max_length, *value.shape[1:]).transpose(1, 2)
    return to_packed(weights @ grid, query_layout)


def training_flops_per_token(model: Transformer, pairs: SyntheticPairs) -> float:
    """Matrix-product FLOPs of forward and backward (6 a weight) for a target token and its source share.

    Attention's own products are left out: under 2 % at these lengths.
    """
    source_share = float(pairs.source_lengths.sum() / pairs.target_lengths.sum())
    encoder = count_parameters(model.encoder_layers)
    decoder = count_parameters(model.decoder_layers)
    # The memory's keys and values are made for source tokens: half of a cross-attention's four matrices.
    d_model = model.settings.d_model
    memory = len(model.decoder_layers) * 2 * d_model * d_model
    return 6.0 * (source_share * (encoder + memory) + decoder - memory + model.output_weight.numel())


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--parts", default=",".join(PARTS), help=f"comma-separated, of {', '.join(PARTS)}")
    parser.add_argument("--multi30k", help="folder with train, val and test_2016_flickr .{en,de}.gz")
    parser.add_argument("--run", default=str(Path(tempfile.gettempdir()) / "translator-gpu-check"))
    parser.add_argument("--batch-tokens", type=int, default=25_000, help="target tokens of a batch for base and big")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--precision", default="bf16", choices=["bf16", "fp16", "fp32"])
    parser.add_argument("--quick", action="store_true", help="toy sizes, to test this script")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    unknown = set(options.parts.split(",")) - set(PARTS)
    if unknown:
        parser.error(f"--parts: {', '.join(sorted(unknown))}; expected some of {', '.join(PARTS)}")
    return options


def describe(machine: Machine) -> str:
    """Versions and device, for the head of the table."""
    return f"{machine}; torch {torch.__version__}, CUDA {torch.version.cuda or 'none'}, Python {sys.version.split()[0]}"


def main(arguments: list[str] | None = None) -> int:
    """Run the parts; return 1 where something computes wrongly."""
    options = parse_options(arguments)
    check = Check(options)
    print(describe(check.machine), flush=True)
    for part in options.parts.split(","):
        print(part, flush=True)
        getattr(check, part)()
    print(f"\n{time.strftime('%Y-%m-%d')}, {describe(check.machine)}\n")
    print("| what | value | note |\n|---|---|---|")
    for row in check.rows:
        print(f"| {row.what} | {row.value} | {row.note} |")
    if options.json:
        options.json.write_text(json.dumps(check.figures, indent=1) + "\n")
    return 1 if check.failures else 0


if __name__ == "__main__":
    sys.exit(main())
