"""Time, memory and start-up of `translator data prepare`, against SentencePiece in a loop and `datasets.map`.

    python scripts/bench_prepare.py 'corpus/train.{en,de}' [--workers 1 2] [--rounds 2] [--set KEY=VALUE ...]
    python scripts/bench_prepare.py 'corpus/train.{en,de}' --grow 10M --directory DIR [--set KEY=VALUE ...]
    python scripts/bench_prepare.py 'corpus/train.{en,de}' --simulate 30M --directory DIR [--set KEY=VALUE ...]

The first form trains a vocabulary, and then prepares the corpus with it, in a new process each time and in alternation:
with each number of workers, with SentencePiece called line by line, and with `datasets.map(num_proc=2)` (text files, a
batched function that encodes both sides, `save_to_disk`). Only the first of them cleans. Printed are seconds on the
clock and CPU seconds of all processes together. On a machine that others use, only the latter can be compared: `floor`
is the time that a way takes with as many idle cores, its CPU seconds by cores, or those of the busiest process.

The second form makes a corpus of so many different pairs out of this one, as parts of a million pairs in DIR, prepares
them, and opens the result as training does, up to the first batch. If it is stopped, the same command continues.

The third form tries what depends on the number of pairs alone: it writes prepared data of so many pairs of short random
sentences (five pieces on average), without text and preparation, and opens them as training does.
"""

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

from translator.config.units import parse_count
from translator.runtime.console import silence

PART = 1_000_000
"""Pairs of a part of a corpus that is made."""


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", help="a corpus as in data.train")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of workers to compare")
    parser.add_argument("--rounds", type=int, default=2, help="times that each of them is measured")
    parser.add_argument("--grow", metavar="PAIRS", help="make a corpus of so many pairs, such as 500k or 10M")
    parser.add_argument("--directory", type=Path, metavar="DIR", help="where the larger corpus is made")
    parser.add_argument("--simulate", metavar="PAIRS", help="write prepared data of so many random pairs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting; repeatable")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        # The table of what was dropped, and bars, are no matter of this.
        silence()
        print(json.dumps(STEPS[options.step](options)))
    elif options.grow or options.simulate:
        if options.directory is None:
            parser.error("--grow and --simulate need --directory")
        options.directory.mkdir(parents=True, exist_ok=True)
        measure_large(options) if options.grow else measure_simulated(options)
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """Print a line for each way to prepare the corpus."""
    with tempfile.TemporaryDirectory() as name:
        options.directory = Path(name)
        model = options.directory / "joint.model"
        train = ["tokenizer", "train", options.corpus, "--output", str(model)]
        subprocess.run([sys.executable, "-m", "translator", *train], check=True, stdout=subprocess.DEVNULL)
        ways: list[tuple[str, int, list[str]]] = [("loop", 1, []), ("map", 2, [])]
        ways += [("prepare", workers, [f"data.workers={workers}"]) for workers in options.workers]
        for number in range(options.rounds):
            print(f"round {number + 1}")
            for step, cores, settings in ways:
                found = run_step(options, step, settings)
                floor = max(found["cpu"] / cores, found["own"])
                print(
                    f"  {step:<8}{cores:>2} {'core ' if cores == 1 else 'cores'}{found['seconds']:>8.1f} s"
                    f"{found['cpu']:>8.1f} s CPU  floor{floor:>7.1f} s {found['pairs'] / floor:>9,.0f} pairs/s"
                    f"{found['memory'] / 1e6:>8,.0f} MB",
                    flush=True,
                )


def measure_large(options: argparse.Namespace) -> None:
    """Make the corpus, prepare it, and make the first batch; print time and memory of each."""
    pairs = int(parse_count(options.grow))
    parts = grow(options.corpus, options.directory, pairs)
    entries = ", ".join(f"{{path: '{path}'}}" for path in parts)
    settings = [f"data.train=[{entries}]", "data.held_out=1000", f"run={options.directory / 'run'}"]
    prepared = run_step(options, "prepare", settings)
    print(
        f"{pairs:,} pairs: prepared in {prepared['seconds'] / 60:,.1f} minutes ({prepared['cpu'] / 60:,.1f} of CPU, "
        f"{pairs / max(prepared['seconds'], 1e-9):,.0f} pairs/s), at most {prepared['all_memory'] / 1e6:,.0f} MB of "
        f"host memory in all processes together; {size_of(options.directory) / 1e9:,.1f} GB on the disk with the text",
        flush=True,
    )
    measure_first_batch(options, settings)


def measure_simulated(options: argparse.Namespace) -> None:
    """Write prepared data of random pairs, unless they are there, and make the first batch."""
    settings = [f"data.train={options.corpus}", f"run={options.directory / 'run'}"]
    if not (options.directory / "run" / "prepared").exists():
        run_step(options, "prepare", settings)
        simulate(options.directory / "run" / "prepared", int(parse_count(options.simulate)))
    measure_first_batch(options, settings)


def measure_first_batch(options: argparse.Namespace, settings: list[str]) -> None:
    """Print time and memory from opening prepared data to the first batch."""
    first = run_step(options, "first_batch", settings)
    print(
        f"{first['pairs']:,} pairs: first batch after {first['seconds']:,.1f} s ({first['cpu']:,.1f} of CPU), at most "
        f"{first['own_memory'] / 1e6:,.0f} MB of host memory, or {first['memory'] / 1e6:,.0f} MB with mapped files"
    )


def run_step(options: argparse.Namespace, step: str, settings: list[str]) -> dict[str, Any]:
    """Do a step in a process of its own; return what it found, with its seconds and memory."""
    command = [sys.executable, __file__, options.corpus, "--step", step, "--directory", str(options.directory)]
    done = subprocess.run(
        [*command, *(word for setting in [*settings, *options.set] for word in ("--set", setting))],
        stdout=subprocess.PIPE, check=True, text=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(work: Callable[[], int]) -> dict[str, Any]:
    """Do the work, which returns its number of pairs; return seconds, CPU seconds and memory."""
    watch = MemoryWatch()
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    begin = time.perf_counter()
    with watch:
        pairs = work()
    seconds = time.perf_counter() - begin
    later = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    own, others = (
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        for before, after in zip(usage, later, strict=True)
    )
    # Linux counts in KiB, macOS in bytes.
    memory = max(each.ru_maxrss for each in later) * (1 if sys.platform == "darwin" else 1024)
    return {
        "pairs": pairs, "seconds": seconds, "cpu": own + others, "own": own, "memory": memory,
        "own_memory": watch.own, "all_memory": watch.all,
    }  # fmt: skip


class MemoryWatch:
    """Finds the most host memory that this process, and it with all its children, hold during a block; on Linux only.

    Only what is not mapped from files counts, since the system can drop the rest at any time.
    """

    def __init__(self) -> None:
        self.own = self.all = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while sys.platform == "linux" and not self._done.wait(0.05):
            own = _memory_of(os.getpid())
            self.own, self.all = max(self.own, own), max(self.all, own + sum(map(_memory_of, _children())))


def _memory_of(process: int) -> int:
    """Return the bytes of host memory of a process that are not mapped from files; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def _children() -> list[int]:
    """Return the ids of the processes that this one has started; they start no others."""
    found: list[int] = []
    for file in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, file.read_text().split())
    return found


def size_of(directory: Path) -> int:
    """Return the bytes of all files in a directory, those with two names once."""
    found = [file.stat() for file in directory.rglob("*") if file.is_file()]
    return sum({each.st_ino: each.st_size for each in found}.values())


def step_prepare(options: argparse.Namespace) -> dict[str, Any]:
    """Prepare with the settings; by default with the vocabulary of `compare`."""
    from translator.config import load_config, prepared_directory
    from translator.data import prepare

    settings = options.set
    if not any(setting.startswith("data.train=") for setting in settings):
        run, model = options.directory / f"run-{os.getpid()}", options.directory / "joint.model"
        settings = [f"data.train={options.corpus}", f"run={run}", f"tokenizer.model={model}", *settings]
    config = load_config(None, settings)
    return measured(lambda: prepare(config, prepared_directory(config)).manifest["counts"]["pairs"])


def step_loop(options: argparse.Namespace) -> dict[str, Any]:
    """Call SentencePiece for each line."""
    import sentencepiece

    from translator.text import open_corpus

    processor = sentencepiece.SentencePieceProcessor(model_file=str(options.directory / "joint.model"))
    pairs = list(open_corpus(options.corpus).pairs())

    def work() -> int:
        for source, target in pairs:
            processor.encode(source)
            processor.encode(target)
        return len(pairs)

    return measured(work)


def step_map(options: argparse.Namespace) -> dict[str, Any]:
    """Encode with `datasets.map` and two processes."""
    import datasets
    import sentencepiece

    from translator.text import open_corpus

    corpus = open_corpus(options.corpus)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(options.directory / "joint.model"))
    cache = options.directory / f"cache-{os.getpid()}"

    def encode(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        return {side: processor.encode(batch[text], num_threads=1) for side, text in (("a", "source"), ("b", "target"))}

    def work() -> int:
        sides = [
            datasets.load_dataset("text", data_files=str(file), split="train", cache_dir=str(cache)).rename_column(
                "text", name
            )
            for file, name in zip(corpus.files, ("source", "target"), strict=True)
        ]
        pairs = datasets.concatenate_datasets(sides, axis=1)
        mapped = pairs.map(encode, batched=True, num_proc=2, remove_columns=["source", "target"])
        mapped.save_to_disk(str(cache / "mapped"))
        return len(mapped)

    datasets.disable_progress_bars()
    return measured(work)


def step_first_batch(options: argparse.Namespace) -> dict[str, Any]:
    """Open the prepared data and make the first batch."""
    from translator.config import load_config, prepared_directory
    from translator.data import load_prepared
    from translator.training.batch_loader import BatchLoader
    from translator.training.progress import Position

    config = load_config(None, options.set)

    def work() -> int:
        data = load_prepared(prepared_directory(config), config)
        loader = BatchLoader(data, data.config.training, 4096, seed=1, max_length=256, max_positions=1024)
        loader.load(next(loader.after(Position())))
        return len(data.train)

    return measured(work)


STEPS = {"prepare": step_prepare, "loop": step_loop, "map": step_map, "first_batch": step_first_batch}


def grow(corpus: str, directory: Path, pairs: int) -> list[str]:
    """Make parts of so many pairs in all, and return their patterns; those that are there are kept."""
    patterns = []
    stream = different_pairs(corpus)
    for index in range(0, pairs, PART):
        size = min(PART, pairs - index)
        files = [directory / f"part-{index // PART}-{size}.{language}" for language in ("en", "de")]
        patterns.append(f"{directory}/part-{index // PART}-{size}.{{en,de}}")
        part = islice(stream, size)
        if all(file.exists() for file in files):
            for _ in part:
                pass
            continue
        partial = [file.with_suffix(".partial" + file.suffix) for file in files]
        with partial[0].open("w") as first, partial[1].open("w") as second:
            for source, target in part:
                first.write(source + "\n")
                second.write(target + "\n")
        for made, file in zip(partial, files, strict=True):
            made.replace(file)
    return patterns


def different_pairs(corpus: str) -> Iterator[tuple[str, str]]:
    """Yield the pairs of a corpus again and again, with the number of the round after both sides from the second on."""
    from translator.text import open_corpus

    pairs = list(open_corpus(corpus).pairs())
    for number in count():
        mark = f" {number}" if number else ""
        for source, target in pairs:
            yield source + mark, target + mark


def simulate(prepared: Path, pairs: int) -> None:
    """Put random pairs in the place of the training pairs of prepared data."""
    import numpy as np
    import pyarrow as pa

    from translator.data.arrow_file import DatasetWriter
    from translator.data.manifest import MANIFEST
    from translator.text import hash_file

    random = np.random.default_rng(1)
    manifest = json.loads((prepared / MANIFEST).read_text())
    file = prepared / "train.arrow"
    with DatasetWriter(file, with_text=False) as writer:
        for start in range(0, pairs, 8192):
            size = min(8192, pairs - start)
            columns = []
            for _ in range(2):
                lengths = 1 + random.poisson(4, size)
                pieces = random.integers(300, manifest["vocab_size"][0], int(lengths.sum()), dtype=np.int32)
                offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
                columns.append(pa.ListArray.from_arrays(pa.array(offsets), pa.array(pieces)))
            writer.write_batch(pa.record_batch(columns, schema=writer.schema))
    manifest["counts"] |= {"pairs": pairs, "train": pairs}
    manifest["files"]["train.arrow"] = {"bytes": file.stat().st_size, "sha256": hash_file(file)}
    (prepared / MANIFEST).write_text(json.dumps(manifest))


if __name__ == "__main__":
    main()
