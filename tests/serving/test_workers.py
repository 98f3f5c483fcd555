"""Worker processes: replaced when they are killed and when the runs are, and ended by SIGTERM whatever they do."""

import http.client
import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE

LINE = "a dog runs."
PAIR = {"source": "en", "target": "de"}


def worker_of(server: Any) -> int:
    """Return the process that answers a request."""
    lines = server.get("/metrics", timeout=PATIENCE)[1].splitlines()
    return int(next(line for line in lines if line.startswith("translator_process_id ")).split()[1])


def wait_for_workers(server: Any, count: int, without: set[int]) -> set[int]:
    """Wait until that number of workers has answered, besides some of them; return them."""
    found: set[int] = set()
    end = time.monotonic() + PATIENCE
    while len(found) < count:
        assert time.monotonic() < end, f"{found} of {count} workers answered: {server.messages()}"
        try:
            found |= {worker_of(server)} - without
        except OSError:  # A connection that a killed process had accepted.
            continue
    return found


def test_workers_are_replaced(start_server: Callable[..., Any], expected: Callable[..., list[str]]) -> None:
    server = start_server("--workers", 2)
    answer = (200, {"translatedText": expected(LINE)[0]})
    first = wait_for_workers(server, 2, set())
    killed = first.pop()
    # A worker that does not react any more is killed: nobody may wait for its answer.
    os.kill(killed, signal.SIGSTOP)
    os.kill(killed, signal.SIGKILL)
    second = wait_for_workers(server, 2, {killed})
    assert f"a worker has ended (signal {int(signal.SIGKILL)})" in server.messages()

    with server.asked_all_the_time("/translate", q=LINE, **PAIR) as found:
        server.process.send_signal(signal.SIGHUP)
        third = wait_for_workers(server, 2, {killed, *second})
    assert all(own == answer for own in found)
    while "reloaded" not in server.messages():  # The parent may notice a little later that all are ready.
        assert server.post("/translate", q=LINE, **PAIR) == answer

    shutil.rmtree(server.run)
    server.process.send_signal(signal.SIGHUP)
    killed = third.pop()
    while "not reloaded" not in server.messages():
        assert server.post("/translate", q=LINE, **PAIR) == answer
    os.kill(killed, signal.SIGKILL)
    while "the next attempt is in" not in server.messages():
        wait_for_workers(server, 1, {killed})
    assert server.post("/translate", q=LINE, **PAIR) == answer
    assert server.stop() == 0
    assert "Traceback" not in server.messages()


def test_requests_that_come_slowly_are_answered_while_workers_are_replaced(
    start_server: Callable[..., Any], expected: Callable[..., list[str]]
) -> None:
    """Clients that connect, wait, and send a request in two parts; `/reload` replaces the workers as SIGHUP does.

    Other clients keep the workers busy: of workers that rest, the newest accepts all connections.
    """
    server = start_server("--workers", 2, environment={"TRANSLATOR_API_KEYS": "secret"})
    first = wait_for_workers(server, 2, set())
    fields = {"q": LINE, "api_key": "secret", **PAIR}
    body = json.dumps(fields).encode()
    request = b"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    answers: list[tuple[int, Any] | Exception] = []
    stop = threading.Event()

    def ask() -> None:
        try:
            while not stop.is_set():
                with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
                    for part in (request[:20], request[20:]):
                        stop.wait(0.5)
                        client.sendall(part)
                    answer = http.client.HTTPResponse(client)
                    answer.begin()
                    answers.append((answer.status, json.loads(answer.read())))
        except Exception as error:
            answers.append(error)

    clients = [threading.Thread(target=ask) for _ in range(8)]
    for client in clients:
        client.start()
    try:
        with server.asked_all_the_time("/translate", **fields) as found:
            assert server.post("/reload", api_key="secret") == (202, {"status": "reloading"})
            wait_for_workers(server, 2, first)
            while "all workers were replaced" not in server.messages():
                wait_for_workers(server, 1, first)
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert len(answers) >= len(clients)
    assert [own for own in [*answers, *found] if own != (200, {"translatedText": expected(LINE)[0]})] == []
    assert server.stop() == 0
    assert "Traceback" not in server.messages()


def test_termination_does_not_wait_for_workers_that_load(start_server: Callable[..., Any]) -> None:
    server = start_server("--workers", 2, is_ready=False)
    assert server.stop() == 0
    assert "Traceback" not in server.messages()


def test_workers_that_cannot_start_end_the_server(run_command: Callable[..., Any], tiny_run: Path) -> None:
    failed = run_command("serve", tiny_run / "absent", "--port", 0, "--workers", 2)
    assert failed.returncode == 1
    assert b"a worker could not start" in failed.stderr and b"Traceback" not in failed.stderr
