"""Measure `translator serve` on loopback: requests a second and latency at several numbers of clients.

    scripts/bench_serve.py RUN FILE [--clients 1 8 64] [--seconds 5]

Each client sends one sentence after the other over a connection of its own. Beside the server, the same lines are
translated by one `Translator.translate` on all of them, by a loop over them (as other servers do it), and by
CTranslate2 called directly with all of them.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from translator import Translator

_MOST_CLIENTS, _MOST_SECONDS = 256, 300


def read_resident_mib(pid: int) -> float:
    """Return the resident memory of a process in MiB (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def run_clients(
    port: int, bodies: Sequence[bytes], clients: int, seconds: float, results: "multiprocessing.Queue[list[float]]"
) -> None:
    """Send requests from `clients` threads for some seconds; put the seconds of each request into `results`."""
    end = time.perf_counter() + seconds
    taken: list[float] = []

    def work(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        index = first
        while (began := time.perf_counter()) < end:
            connection.request("POST", "/translate", bodies[index % len(bodies)], {"Content-Type": "application/json"})
            answer = connection.getresponse()
            data = answer.read()
            if answer.status != 200:
                raise SystemExit(f"the server answered {answer.status}: {data[:200]!r}")
            taken.append(time.perf_counter() - began)
            index += clients

    threads = [threading.Thread(target=work, args=(index,)) for index in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(taken)


def read_cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, all threads together (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(work: Callable[[], int]) -> str:
    """Say how fast something is that returns a number of lines."""
    began, cpu = time.perf_counter(), time.process_time()
    lines = work()
    rate, spent = lines / (time.perf_counter() - began), 1000 * (time.process_time() - cpu) / lines
    return f"{rate:8.0f} lines/s, {spent:.2f} ms of CPU a line"


def start_server(run: Path) -> tuple[subprocess.Popen[str], int]:
    """Start the server on a free port and return it with its port."""
    command = [sys.executable, "-m", "translator", "serve", str(run), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if " serves " in line:
            return process, int(line.split(" serves ")[0].rpartition(":")[2])
    raise SystemExit("the server did not start; call `translator serve` to see why")


def direct(translator: Translator, lines: Sequence[str]) -> int:
    """Translate with the library alone: pieces in, pieces out, text of the best hypothesis."""
    engine = translator.engine_for(translator.settings)
    tokenizers = translator.bundle.tokenizers
    source = tokenizers.source
    pieces = [source.pieces(ids) for ids in source.encode(list(lines))]
    library = engine._translator  # type: ignore[attr-defined]
    found = library.translate_batch(
        pieces, beam_size=translator.settings.beam_size, max_batch_size=1024, batch_type="tokens"
    )
    for own in found:
        "".join(own.hypotheses[0]).replace("\u2581", " ")
    return len(lines)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--lines", type=int, default=2000)
    options = parser.parse_args()
    if max(options.clients) > _MOST_CLIENTS or options.seconds > _MOST_SECONDS:
        parser.error(f"at most {_MOST_CLIENTS} clients and {_MOST_SECONDS} seconds")
    lines = list(dict.fromkeys(options.file.read_text(encoding="utf-8").splitlines()))[: options.lines]
    translator = Translator.load(options.run)
    source, target = translator.bundle.config.data.source_language, translator.bundle.config.data.target_language
    bodies = [json.dumps({"q": line, "source": source, "target": target}).encode() for line in lines]
    list(translator.translate(lines[:8]))  # loads the engine
    print(f"{len(lines)} lines; {platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    print(f"one translate on all lines: {timed(lambda: len(list(translator.translate(lines))))}")
    few = lines[:200]
    loop = timed(lambda: len([next(translator.translate([line])) for line in few]))
    print(f"a loop over lines:          {loop}")
    if translator.engine_for(translator.settings).name == "ctranslate2":
        print(f"CTranslate2 directly:       {timed(lambda: direct(translator, lines))}")
    server, port = start_server(options.run)
    try:
        for clients in options.clients:
            results: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
            client = multiprocessing.Process(target=run_clients, args=(port, bodies, clients, options.seconds, results))
            client.start()
            spent = read_cpu_seconds(server.pid)
            taken = sorted(results.get(timeout=options.seconds + 120))
            client.join()
            spent = 1000 * (read_cpu_seconds(server.pid) - spent) / len(taken)
            p50, p95, p99 = (1000 * taken[min(len(taken) - 1, int(share * len(taken)))] for share in (0.5, 0.95, 0.99))
            print(
                f"serve, {clients:3d} clients: {len(taken) / options.seconds:8.0f} requests/s, "
                f"p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms, "
                f"{spent:.2f} ms of CPU a request, {read_resident_mib(server.pid):.0f} MiB"
            )
    finally:
        server.terminate()
        server.wait(60)


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    main()
