"""The clients of `bench_serve.py`, which run in a process of their own."""

from __future__ import annotations

import http.client
import itertools
import json
import multiprocessing
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

_JSON = {"Content-Type": "application/json"}


class Counts:
    """What the process of the clients tells the one that watches the server."""

    def __init__(self) -> None:
        self.started = multiprocessing.Event()
        self.done: Any = multiprocessing.Value("q")
        self.errors: Any = multiprocessing.Value("q")
        self.results: Any = multiprocessing.Queue()
        """The seconds of each request, and the CPU seconds of all clients."""

    def add(self, *, failed: bool) -> None:
        """Count a request."""
        with self.done.get_lock():
            self.done.value += 1
            self.errors.value += failed


def send_lines(port: int, bodies: Sequence[bytes], clients: int, seconds: float, requests: int, counts: Counts) -> None:
    """Send requests from `clients` threads, for some seconds or, if `requests` is not 0, that many."""
    taken: list[float] = []
    indices = iter(range(requests)) if requests else itertools.count()
    end = time.perf_counter() + seconds

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while (began := time.perf_counter()) < end and (index := next(indices, None)) is not None:
            connection.request("POST", "/translate", bodies[index % len(bodies)], _JSON)
            answer = connection.getresponse()
            answer.read()
            counts.add(failed=answer.status != 200)
            if not requests:
                taken.append(time.perf_counter() - began)

    cpu = time.process_time()
    counts.started.set()
    _in_threads([work] * clients)
    if not requests:
        counts.results.put((taken, time.process_time() - cpu))


def send_all_kinds(
    port: int, bodies: Sequence[bytes], clients: int, seconds: float, requests: int, counts: Counts
) -> None:
    """Send every kind of request for some seconds; an answer with another status than it must have is an error."""
    end = time.perf_counter() + seconds

    def work(first: int) -> None:
        for send in itertools.islice(itertools.cycle(_kinds(port, bodies, first)), first, None):
            if time.perf_counter() >= end:
                return
            try:
                counts.add(failed=not send())
            except OSError:
                counts.add(failed=True)

    _in_threads([lambda first=index: work(first) for index in range(clients)])  # type: ignore[misc]


def _kinds(port: int, bodies: Sequence[bytes], first: int) -> Iterator[Callable[[], bool]]:
    """Yield functions that send a request each and return whether the answer was right."""
    base = json.loads(bodies[0])
    pair = {"source": base["source"], "target": base["target"]}
    lines = [json.loads(body)["q"] for body in bodies[first : first + 40]] or [base["q"]]
    rest = itertools.cycle(bodies[first:] + bodies[:first])  # type: ignore[operator]

    def post(expected: int, path: str = "/translate", kind: str = "application/json", **fields: object) -> bool:
        body = json.dumps({**pair, **fields}).encode() if fields else next(rest)
        return _status(port, "POST", path, body, kind) == expected

    file = (
        b'--b\r\nContent-Disposition: form-data; name="source"\r\n\r\n' + pair["source"].encode()
        + b'\r\n--b\r\nContent-Disposition: form-data; name="target"\r\n\r\n' + pair["target"].encode()
        + b'\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        + "\n".join(lines[:5]).encode() + b"\r\n--b--\r\n"
    )  # fmt: skip
    for _ in range(4):
        yield lambda: post(200)
    yield lambda: post(200, q=lines)
    yield lambda: post(200, q=lines[0], alternatives=3, scores=True, alignment=True)
    yield lambda: post(200, q=f"<p>{lines[0]} <b>{lines[-1]}</b></p>", format="html", protect=["number"])
    yield lambda: post(200, q=lines[0], source="auto")
    yield lambda: post(200, q="\n".join(lines * 3))
    yield lambda: post(200, "/detect", q=lines[0])
    yield lambda: _status(port, "POST", "/translate_file", file, "multipart/form-data; boundary=b") == 200
    yield lambda: _status(port, "GET", "/metrics") == 200
    yield lambda: _status(port, "GET", "/languages") == 200
    yield lambda: _status(port, "GET", f"/nothing/{time.perf_counter_ns()}") == 404
    yield lambda: post(400, q=lines[0], alternatives=-1)
    yield lambda: post(400, q=lines[0], target="xx")
    yield lambda: _status(port, "POST", "/translate", b'{"q": "\xff') == 400
    yield lambda: _status(port, "POST", "/translate", b"x" * 9_000_000) == 413
    yield lambda: _hang_up(port, bodies[0][:-5])
    yield lambda: _hang_up(port, json.dumps({**pair, "q": lines}).encode())


def _status(port: int, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> int:
    """Send a request over a connection of its own; return the status of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        try:
            connection.request(method, path, body, {"Content-Type": kind})
        except (BrokenPipeError, ConnectionResetError):
            return 413  # The server answers a body that is too large before it has arrived.
        try:
            answer = connection.getresponse()
            answer.read()
        except ConnectionResetError:
            return 413
        return answer.status
    finally:
        connection.close()


def _hang_up(port: int, body: bytes) -> bool:
    """Begin a request and close the connection."""
    head = (
        f"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(head.encode() + body)
    return True


def _in_threads(work: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=own) for own in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
