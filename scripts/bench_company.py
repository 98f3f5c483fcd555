"""Measure company: tokens/s of a training and of a translation, each alone and with another one on the same cores.

Every job is a process of its own with its default number of threads, as `translator train` and `translator translate`
start. Per policy of waiting (how often a thread of OpenMP looks for work before it sleeps, `GOMP_SPINCOUNT`) four
scenes are measured, and the policies take turns within a round, so that whatever else the machine does meets them all:

* one training; two trainings; one translation; a training and a translation.

A scene's clock starts when all of its jobs have been at work for a while. Tokens of a training are target tokens, those
of a translation the pieces of its output. Prints a table in Markdown, medians over the rounds.

`scripts/demo` makes a run; then `.venv/bin/python scripts/bench_company.py runs/sample-en-de`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.machine import machine_facts

ROOT = Path(__file__).parents[1]
LIBRARY = "300000"
"""The looks of libgomp if nothing is set, which take milliseconds."""
ENGINES = ("native", "ctranslate2")
PACKAGE = "ours"
"""The policy that importing the package sets."""


class Job:
    """A process that works until it is ended, and a file to which it appends JSON lines of what it has done."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], figures: Path) -> None:
        self._figures = figures
        self._log = figures.with_suffix(".log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env={**os.environ, **environment}, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def samples(self) -> list[tuple[float, int]]:
        """When (seconds since 1970) the job had written how many tokens."""
        if self._process.poll() is not None:
            raise SystemExit(f"a job ended by itself:\n{self._log.read_text(errors='replace')[-2000:]}")
        if not self._figures.exists():
            return []
        whole = self._figures.read_text(encoding="utf-8").rpartition("\n")[0]
        lines = [json.loads(line) for line in whole.splitlines()]
        return [(line["time"], line["target_tokens"]) for line in lines if line["kind"] == "train"]

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def training(directory: Path, data: Path, environment: dict[str, str]) -> Job:
    """Train the sample configuration in `directory`, without validations; `data` is prepared once for all."""
    settings = [f"run={directory}", f"data.prepared={data}", "device=cpu", "training.max_steps=1M"]
    settings += ["training.validate_every=1M", "training.log_every=1"]
    command = [sys.executable, "-m", "translator", "train", "configs/sample-en-de.yaml", *settings]
    return Job(command, environment, directory / "metrics.jsonl")


def translation(directory: Path, run: Path, engine: str, environment: dict[str, str]) -> Job:
    """Translate the test set of the sample corpus over and over with a run's own settings."""
    figures = directory / "translation.jsonl"
    command = [sys.executable, __file__, str(run.resolve()), "--translate-with", engine, "--figures", str(figures)]
    return Job(command, environment, figures)


def translate_forever(run: Path, engine: str, figures: Path) -> None:
    """The work of a translating job."""
    from translator.translation import Translator

    translator = Translator.load(run, engine=engine, device="cpu")
    lines = (ROOT / "data/test.en").read_text(encoding="utf-8").splitlines()
    encode = translator.bundle.tokenizers.target.encode
    tokens = 0
    with figures.open("a", encoding="utf-8") as file:
        while True:
            for start in range(0, len(lines), 500):
                translated = list(translator.translate(lines[start : start + 500]))
                tokens += sum(map(len, encode(translated)))
                file.write(json.dumps({"kind": "train", "time": time.time(), "target_tokens": tokens}) + "\n")
                file.flush()


def measure(jobs: Sequence[Job], warm_up: float, seconds: float) -> list[float]:
    """Return the tokens/s of each job while all of them work."""
    while not all(len(job.samples()) > 2 for job in jobs):
        time.sleep(0.1)
    time.sleep(warm_up)
    begins = time.time()
    time.sleep(seconds)
    # A slow job may need longer until it has written enough.
    while min(len(_since(begins, job)) for job in jobs) < 4:
        time.sleep(0.1)
    rates = []
    for job in jobs:
        (first, before), *_, (last, after) = _since(begins, job)
        rates.append((after - before) / (last - first))
    return rates


def _since(begins: float, job: Job) -> list[tuple[float, int]]:
    return [(when, tokens) for when, tokens in job.samples() if when >= begins]


@contextlib.contextmanager
def started(kinds: Sequence[str], run: Path, data: Path, environment: dict[str, str]) -> Iterator[list[Job]]:
    """Start a job of each kind, `training` or an engine, and end them."""
    jobs: list[Job] = []
    with tempfile.TemporaryDirectory(prefix="company-") as scratch:
        try:
            for index, kind in enumerate(kinds):
                directory = Path(scratch) / str(index)
                directory.mkdir()
                jobs.append(
                    training(directory, data, environment)
                    if kind == "training"
                    else translation(directory, run, kind, environment)
                )
            yield jobs
        finally:
            for job in jobs:
                job.end()


def scenes() -> dict[str, list[str]]:
    """The jobs of every scene."""
    found = {"a training alone": ["training"], "two trainings": ["training", "training"]}
    for engine in ENGINES:
        found[f"a translation alone ({engine})"] = [engine]
        found[f"a training and a translation ({engine})"] = ["training", engine]
    return found


def environment_of(policy: str) -> dict[str, str]:
    """The variables of a policy: what the package sets, or a number of looks."""
    return {} if policy == PACKAGE else {"GOMP_SPINCOUNT": policy}


def prepare(data: Path) -> None:
    """Prepare the sample corpus, so that no job has to."""
    command = [sys.executable, "-m", "translator", "data", "prepare", "configs/sample-en-de.yaml"]
    subprocess.run([*command, f"data.prepared={data}"], cwd=ROOT, check=True, capture_output=True)


def table(found: dict[tuple[str, str], list[list[float]]], names: Sequence[str], policies: Sequence[str]) -> str:
    """Lay out the medians: a row a scene, a column a policy; several jobs of a scene with `+` between them."""
    heads = [f"{policy} looks" if policy.isdigit() else policy for policy in policies]
    rows = [f"| tokens/s | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for name in names:
        cells = []
        for policy in policies:
            rounds = found[name, policy]
            medians = [statistics.median(rates) for rates in zip(*rounds, strict=True)]
            cells.append(" + ".join(f"{rate:,.0f}" for rate in medians))
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run directory to translate with, such as runs/sample-en-de")
    parser.add_argument(
        "--policies", nargs="+", default=[LIBRARY, PACKAGE], help=f"numbers of looks, and `{PACKAGE}` for the package's"
    )
    parser.add_argument("--scenes", nargs="+", help="only scenes whose name begins with one of these")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--warm-up", type=float, default=2.0, help="seconds of work before the clock starts")
    parser.add_argument("--translate-with", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--figures", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    if options.translate_with:
        translate_forever(options.run, options.translate_with, options.figures)
    facts = machine_facts(os.cpu_count() or 1, ["torch", "ctranslate2"])
    chosen = {
        name: kinds for name, kinds in scenes().items() if not options.scenes or name.startswith(tuple(options.scenes))
    }
    found: dict[tuple[str, str], list[list[float]]] = {}
    with tempfile.TemporaryDirectory(prefix="company-data-") as scratch:
        data = Path(scratch) / "prepared"
        prepare(data)
        for turn in range(options.rounds):
            for name, kinds in chosen.items():
                # Whoever is first differs from round to round.
                for policy in options.policies[turn % 2 :] + options.policies[: turn % 2]:
                    with started(kinds, options.run, data, environment_of(policy)) as jobs:
                        rates = measure(jobs, options.warm_up, options.seconds)
                    found.setdefault((name, policy), []).append(rates)
                    shown = " + ".join(f"{rate:,.0f}" for rate in rates)
                    print(f"round {turn + 1}, {name}, {policy}: {shown} tokens/s", file=sys.stderr)
    print(table(found, list(chosen), options.policies) + "\n")
    for name, fact in facts.items():
        print(f"* {name}: {fact}")


if __name__ == "__main__":
    main()
