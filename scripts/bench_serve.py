"""Measure `translator serve` on loopback: requests a second, latency, CPU time, memory.

    scripts/bench_serve.py RUN FILE [--clients 1 8 64] [--seconds 5] [--rounds 3]
    scripts/bench_serve.py RUN FILE --requests 100000     memory after each tenth of the requests
    scripts/bench_serve.py RUN FILE --soak 300            every kind of request, wrong ones too, for some seconds

Each client sends one sentence after the other over a connection of its own; all clients are in a second process. Beside
the server, the same lines are translated by one `Translator.translate` on all of them, by a loop over them (as other
servers do it), and by CTranslate2 called directly with all of them. These take turns, so that other work on the machine
meets all alike. The clients need the CPU, too: on few cores compare CPU time, of which theirs is stated.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from scripts.machine import machine_facts
from scripts.serve_clients import Counts, send_all_kinds, send_lines
from translator import Translator

_MOST_CLIENTS, _MOST_SECONDS = 256, 600
_MOST_SECONDS_OF_REQUESTS = 7_200
"""Until when a number of requests must have been answered: a busy machine answers 70 a second."""
_LOOP_LINES = 200
_REPORTS = 10


@dataclass
class Row:
    """What was measured of one way to translate, over all rounds."""

    lines: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    client_cpu: float = 0.0
    taken: list[float] = field(default_factory=list)
    memory: float = 0.0

    def cells(self, name: str) -> str:
        """Write the row of a table."""
        ordered = sorted(self.taken)
        shares = (
            [1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.95, 0.99)]
            if (ordered)
            else []
        )
        values = [
            name, f"{self.lines / self.seconds:.0f}", ", ".join(f"{own:.3g}" for own in shares),
            f"{1000 * self.cpu / self.lines:.2f}",
            f"{1000 * self.client_cpu / self.lines:.2f}" if self.client_cpu else "",
            f"{self.memory:.0f}" if self.memory else "",
        ]  # fmt: skip
        return f"| {' | '.join(values)} |"


def read_resident_mib(pid: int) -> float:
    """Return the resident memory of a process in MiB (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def read_cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, all threads together (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(run: Path) -> Iterator[tuple[int, int]]:
    """Start the server on a free port; yield its process id and port."""
    command = [sys.executable, "-m", "translator", "serve", str(run), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if " serves " in line:
                yield process.pid, int(line.split(" serves ")[0].rpartition(":")[2])
                return
        raise SystemExit("the server did not start; call `translator serve` to see why")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def measure(row: Row, work: Callable[[], int]) -> None:
    """Add the time of something that returns a number of lines."""
    began, cpu = time.perf_counter(), time.process_time()
    row.lines += work()
    row.seconds += time.perf_counter() - began
    row.cpu += time.process_time() - cpu


def measure_clients(row: Row, pid: int, port: int, bodies: Sequence[bytes], clients: int, seconds: float) -> None:
    """Add what a number of clients did in some seconds."""
    counts = Counts()
    process = multiprocessing.Process(target=send_lines, args=(port, bodies, clients, seconds, 0, counts))
    process.start()
    counts.started.wait()
    began, cpu = time.perf_counter(), read_cpu_seconds(pid)
    taken, client_cpu = counts.results.get(timeout=seconds + 120)
    row.seconds += time.perf_counter() - began
    row.cpu += read_cpu_seconds(pid) - cpu
    process.join()
    row.client_cpu += client_cpu
    row.lines += len(taken)
    row.taken += taken
    row.memory = read_resident_mib(pid)
    if counts.errors.value:
        print(f"{counts.errors.value} requests failed")


def direct(translator: Translator, lines: Sequence[str]) -> int:
    """Translate with the library alone: pieces in, pieces out, text of the best hypothesis."""
    engine = translator.engine_for(translator.settings)
    source = translator.bundle.tokenizers.source
    pieces = [source.pieces(ids) for ids in source.encode(list(lines))]
    library = engine._translator  # type: ignore[attr-defined]
    found = library.translate_batch(
        pieces, beam_size=translator.settings.beam_size, max_batch_size=1024, batch_type="tokens"
    )
    for own in found:
        "".join(own.hypotheses[0]).replace("\u2581", " ")
    return len(lines)


def compare(run: Path, lines: Sequence[str], bodies: Sequence[bytes], options: argparse.Namespace) -> None:
    """Print a table of all ways to translate."""
    translator = Translator.load(run)
    list(translator.translate(lines[:8]))  # loads the engine
    ways: dict[str, Callable[[], int]] = {
        "one `translate` on all lines": lambda: len(list(translator.translate(lines))),
        "a loop over lines": lambda: len([next(translator.translate([line])) for line in lines[:_LOOP_LINES]]),
    }
    if translator.engine_for(translator.settings).name == "ctranslate2":
        ways["CTranslate2 called directly"] = lambda: direct(translator, lines)
    rows = {name: Row() for name in ways}
    serving = {clients: Row() for clients in options.clients}
    with served(run) as (pid, port):
        for _ in range(options.rounds):
            for name, work in ways.items():
                measure(rows[name], work)
            for clients, row in serving.items():
                measure_clients(row, pid, port, bodies, clients, options.seconds)
    print("| | a second | p50, p95, p99 (ms) | CPU a line (ms) | CPU of the clients (ms) | RAM (MiB) |")
    print("|---|---|---|---|---|---|")
    for name, row in rows.items():
        print(row.cells(name))
    for clients, row in serving.items():
        print(row.cells(f"`serve`, {clients} client{'s' if clients > 1 else ''}"))


def watch(run: Path, bodies: Sequence[bytes], clients: int, requests: int, soak: float) -> None:
    """Print memory and errors while clients send a number of requests, or all kinds of them for some seconds."""
    with served(run) as (pid, port):
        counts = Counts()
        arguments = (port, bodies, clients, soak or float(_MOST_SECONDS_OF_REQUESTS), requests, counts)
        process = multiprocessing.Process(target=send_all_kinds if soak else send_lines, args=arguments)
        process.start()
        began, reported = time.perf_counter(), 0

        def report() -> None:
            print(
                f"{time.perf_counter() - began:6.0f} s {counts.done.value:8d} requests, {counts.errors.value} errors, "
                f"{read_resident_mib(pid):.1f} MiB, {len(os.listdir(f'/proc/{pid}/fd'))} open files",
                flush=True,
            )

        report()
        while process.is_alive():
            time.sleep(0.05)
            share = (time.perf_counter() - began) / soak if soak else counts.done.value / requests
            if int(share * _REPORTS) > reported:
                reported = int(share * _REPORTS)
                report()
        time.sleep(1)
        report()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lines", type=int, default=2000)
    parser.add_argument("--requests", type=int, default=0)
    parser.add_argument("--soak", type=float, default=0.0)
    options = parser.parse_args()
    if max(options.clients) > _MOST_CLIENTS or max(options.seconds, options.soak) > _MOST_SECONDS:
        parser.error(f"at most {_MOST_CLIENTS} clients and {_MOST_SECONDS} seconds")
    lines = list(dict.fromkeys(options.file.read_text(encoding="utf-8").splitlines()))[: options.lines]
    data = Translator.load(options.run).bundle.config.data
    bodies = [
        json.dumps({"q": line, "source": data.source_language, "target": data.target_language}).encode()
        for line in lines
    ]
    print(f"{len(lines)} lines; {machine_facts(torch.get_num_threads(), ('ctranslate2', 'uvicorn'))}")
    if options.requests or options.soak:
        watch(options.run, bodies, max(options.clients), options.requests, options.soak)
    else:
        compare(options.run, lines, bodies, options)


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    main()
