"""What can go wrong: clients, bodies, keys, limits, workers and runs. The server stays alive, and says what is lost."""

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from translator.errors import TranslatorError
from translator.serving import ServerOptions, serve
from translator.serving.app import Watch
from translator.serving.metrics import Metrics
from translator.serving.options import Keys

LINE = "a dog runs."
PAIR = {"source": "en", "target": "de"}
JSON = {"Content-Type": "application/json"}
DOCUMENT = [f"a dog {index} runs." for index in range(4_000)]


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    return thread, results


def queued(server: Any) -> bool:
    return 'translator_queue_requests{run="tiny"} 0' not in server.get("/metrics")[1]


def test_clients_that_hang_up_or_wait_in_the_middle_of_a_body(server: Any) -> None:
    head = b"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(head)
        with socket.create_connection(("127.0.0.1", server.port)) as gone:
            gone.sendall(head)
        with socket.create_connection(("127.0.0.1", server.port)) as noise:
            noise.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        assert server.post("/translate", q=LINE, **PAIR)[0] == 200
    assert server.post("/translate", q=LINE, **PAIR)[0] == 200


def test_what_a_client_asked_for_is_given_up_when_it_hangs_up(server: Any) -> None:
    body = json.dumps({"q": DOCUMENT[:1_500], **PAIR}).encode()
    head = (
        f"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as gone:
            gone.sendall(head.encode() + body)
    wait_until(lambda: not queued(server))
    assert server.post("/translate", q=LINE, **PAIR)[0] == 200
    assert "Traceback" not in server.messages()


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (json.dumps({"q": "x" * 10_000_000, **PAIR}).encode(), JSON, 413),
        (b'{"q": "\xff", "source": "en", "target": "de"}', JSON, 400),
        (b'{"q": "a", "source"', JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b"[1]", JSON, 400),
        (b'{"q": "a", "source": "en", "target": "de", "alternatives": 1e999}', JSON, 400),
        (b'{"q": "a", "source": "en", "target": "de", "alternatives": ' + b"9" * 6_000 + b"}", JSON, 400),
        (b"q=%ff&source=en&target=de", {"Content-Type": "application/x-www-form-urlencoded"}, 400),
        (b"q=\xff", {"Content-Type": "application/x-www-form-urlencoded"}, 400),
        (b"--b\r\nnothing", {"Content-Type": "multipart/form-data; boundary=b"}, 400),
        (b"x", {"Content-Type": "multipart/form-data"}, 400),
        (b"<q/>", {"Content-Type": "application/xml"}, 400),
        (b'{"q": "a \\ud800 dog", "source": "en", "target": "de"}', JSON, 200),
        (b'{"q": "\\ud800", "source": "de", "target": "de"}', JSON, 200),
    ],
    ids=range(14),
)
def test_bodies_that_cannot_be_read(server: Any, body: bytes, headers: dict[str, str], status: int) -> None:
    try:
        found, answer, _ = server.send("/translate", body, headers)
    except OSError:  # The server answers a body that is too large before it has arrived.
        assert status == 413
    else:
        assert found == status, answer
        assert "Traceback" not in json.dumps(answer)
    assert server.get("/ready")[0] == 200


def test_a_head_without_end_is_refused(server: Any) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as noise:
        answer = b""
        with contextlib.suppress(OSError):  # The server closes the connection while we write.
            noise.sendall(b"GET /health HTTP/1.1\r\nA: " + b"a" * 1_000_000)
        with contextlib.suppress(OSError):
            answer = noise.recv(1_000)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    long = {"A": "a" * 20_000}
    assert [server.send("/health", None, long)[0] for _ in range(5)] == [200] * 5


def test_too_many_open_requests_are_refused_at_once() -> None:
    """Those that are open are answered, and there is room again."""
    metrics = Metrics()

    async def answered(count: int) -> list[int]:
        go = asyncio.Event()
        statuses: list[int] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await go.wait()
            await send({"type": "http.response.start", "status": 200})

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
                assert message["status"] == 200 or (b"retry-after", b"1") in message["headers"]

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        watch = Watch(app, metrics, {"/translate"}, 2)
        scope = {"type": "http", "method": "POST", "path": "/translate", "headers": []}
        open_ones = [asyncio.ensure_future(watch(scope, receive, send)) for _ in range(2)]
        await asyncio.sleep(0)
        for _ in range(count):
            await watch(scope, receive, send)
        go.set()
        await asyncio.gather(*open_ones)
        await watch(scope, receive, send)
        return statuses

    assert asyncio.run(answered(3)) == [503, 503, 503, 200, 200, 200]
    assert 'translator_rejected_total{reason="connections"} 3' in metrics.text([])


def test_keys_and_rates(start_server: Callable[..., Any]) -> None:
    server = start_server("--requests-per-minute", 3, environment={"TRANSLATOR_API_KEYS": "secret-one,secret-two"})
    assert server.post("/translate", q=LINE, **PAIR)[0] == 403
    assert server.post("/translate", q=LINE, api_key="wrong-key", **PAIR) == (403, {"error": "Invalid API key"})
    assert server.post("/reload", api_key="wrong-key")[0] == 403
    assert server.get("/languages")[0] == 200
    bearer = {"Authorization": "Bearer secret-two", **JSON}
    assert server.post("/translate", q=LINE, headers=bearer, **PAIR)[0] == 200
    assert server.post("/reload", api_key="secret-one") == (200, {"status": "reloaded", "changed": []})
    statuses = [server.post("/translate", q=LINE, api_key="secret-one", **PAIR)[0] for _ in range(3)]
    assert statuses == [200, 200, 429]
    body = json.dumps({"q": LINE, "api_key": "secret-one", **PAIR}).encode()
    status, answer, headers = server.send("/translate?api_key=secret-one", body, JSON)
    assert status == 429 and 1 <= int(headers["retry-after"]) <= 21 and "3 a minute" in answer["error"]
    assert server.post("/translate", q=LINE, headers=bearer, **PAIR)[0] == 200
    assert server.stop() == 0
    assert "secret" not in server.messages() and "wrong-key" not in server.messages()


def test_a_file_of_keys_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text("# keys\nsecret-one\n", encoding="utf-8-sig")
    assert Keys.read(str(file)).identify("secret-one")
    file.write_text("secret-one\n\nsecret-two\n", encoding="utf-8-sig")
    keys = Keys.read(str(file))
    assert keys.identify("secret-one") and keys.identify("secret-two")


def test_a_full_queue_refuses_at_once_and_slow_bodies_time_out(start_server: Callable[..., Any]) -> None:
    server = start_server(limits="queue_characters=10, body_seconds=0.3, connections=20")
    thread, results = in_thread(lambda: server.post("/translate", q=DOCUMENT, **PAIR))
    refused = []
    wait_until(lambda: queued(server) or not thread.is_alive())
    while thread.is_alive():
        status, answer, headers = server.send("/translate", json.dumps({"q": LINE, **PAIR}).encode(), JSON)
        refused += [(answer, headers["retry-after"])] if status == 503 else []
    thread.join()
    assert results[0][0] == 200 and len(results[0][1]["translatedText"]) == len(DOCUMENT)
    assert refused and refused[0] == ({"error": "The server is busy; try again"}, "1")
    assert 'translator_rejected_total{reason="queue"}' in server.get("/metrics")[1]
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(b"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert slow.recv(1_000).startswith(b"HTTP/1.1 408 ")
    for begun in (b"", b"POST /translate HTTP/1.1\r\nHost"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as silent:
            silent.sendall(begun)
            assert silent.recv(1_000) == b""


def test_termination_finishes_what_has_begun(start_server: Callable[..., Any]) -> None:
    server = start_server()
    thread, results = in_thread(lambda: server.post("/translate", q=DOCUMENT, **PAIR))
    wait_until(lambda: queued(server) or not thread.is_alive())
    server.process.send_signal(signal.SIGTERM)
    thread.join()
    assert results[0][0] == 200 and len(results[0][1]["translatedText"]) == len(DOCUMENT)
    assert server.process.wait(30) == 0
    assert "Traceback" not in server.messages()


def test_a_replaced_run_is_taken_up_and_a_deleted_one_stays_in_use(start_server: Callable[..., Any]) -> None:
    from translator import Translator
    from translator.checkpoints import Checkpoint, load_bundle, model_tensors, write_checkpoint
    from translator.model import build_model

    server = start_server()
    before = server.post("/translate", q=LINE, **PAIR)[1]["translatedText"]
    bundle = load_bundle(server.run, device="cpu")
    other = build_model(bundle.config.model, *bundle.tokenizers.sizes, 77)
    final: Path = server.run / "models/final"
    shutil.rmtree(final)
    write_checkpoint(final, Checkpoint(model_tensors(other), {}, {"step": 13}))
    after = next(Translator.load(server.run).translate([LINE]))
    assert after != before
    with server.asked_all_the_time("/translate", q=LINE, **PAIR) as found:
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reloaded" in server.messages())
        wait_until(lambda: bool(found) and found[-1][1].get("translatedText") == after)
    assert {status for status, _ in found} == {200}
    assert {answer["translatedText"] for _, answer in found} <= {before, after}

    settings = server.run / "config.yaml"
    text = settings.read_text()
    settings.write_text(
        text.replace("source_language: en", "source_language: ru").replace("language: de", "language: es")
    )
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: [own["code"] for own in server.get("/languages")[1]] == ["es", "ru"])
    russian = "Собака бежит по саду."
    status, answer = server.post("/translate", q=russian, source="auto", target="es")
    assert status == 200 and answer["detectedLanguage"]["language"] == "ru"
    assert [own["language"] for own in server.post("/detect", q=russian)[1]] == ["ru", "es"]

    shutil.rmtree(server.run)
    russian_pair = {"source": "ru", "target": "es"}
    assert server.post("/translate", q=LINE, **russian_pair) == (200, {"translatedText": after})
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "not reloaded" in server.messages())
    assert server.post("/translate", q=LINE, **russian_pair) == (200, {"translatedText": after})
    assert "Traceback" not in server.messages()


def test_what_cannot_be_served_is_a_sentence(tiny_run: Path, server: Any) -> None:
    def error_of(*runs: Path, port: int = 0) -> str:
        with pytest.raises(TranslatorError) as found:
            serve(ServerOptions(tuple(map(str, runs)), port=port))
        return str(found.value)

    assert "absent" in error_of(tiny_run / "absent")
    assert "both translate from en into de" in error_of(tiny_run, tiny_run)
    assert "cannot be used" in error_of(tiny_run, port=server.port)
