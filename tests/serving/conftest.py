"""A server in a process of its own, on loopback, with the tiny run."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.inspection.conftest import browser
from tests.patience import PATIENCE

__all__ = ["browser"]


class Server:
    """A running server and the simplest client."""

    def __init__(
        self,
        run: Path,
        *options: object,
        limits: str = "",
        environment: dict[str, str] | None = None,
        is_ready: bool = True,
    ) -> None:
        """`limits` are arguments of `Limits`, for what has no option; with `is_ready` the models are loaded."""
        self.run = run
        command = [sys.executable, "-m", "translator", "serve", str(run), "--port", "0", *map(str, options)]
        if limits:
            imports = "from translator.serving import Limits, ServerOptions, serve"
            call = f"serve(ServerOptions(({str(run)!r},), port=0, limits=Limits({limits})))"
            command = [sys.executable, "-c", f"{imports}\n{call}"]
        own = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
        self.log = run.parent / f"{run.name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env=own, start_new_session=True)
        self.url = self._wait(is_ready)

    def _wait(self, is_ready: bool) -> str:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            words = self.messages().split()
            if "serves" in words:
                self.url = words[words.index("serves") - 1]
                if not is_ready or self.get("/ready", timeout=PATIENCE)[0] == 200:
                    return self.url
            time.sleep(0.02)
        raise AssertionError(f"the server did not start: {self.messages()}")

    def messages(self) -> str:
        return self.log.read_text()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def send(
        self, path: str, body: bytes | None, headers: dict[str, str] | None = None, timeout: float = 30
    ) -> tuple[int, Any, dict[str, str]]:
        """Return status, answer (of JSON) and headers."""
        request = urllib.request.Request(self.url + path, data=body, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                status, data, found = answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            status, data, found = error.code, error.read(), dict(error.headers)
        is_json = found.get("content-type", "").startswith("application/json")
        return status, json.loads(data) if is_json else data.decode(), found

    def get(self, path: str, timeout: float = 30) -> tuple[int, Any]:
        return self.send(path, None, timeout=timeout)[:2]

    @contextlib.contextmanager
    def asked_all_the_time(self, path: str, **fields: Any) -> Iterator[list[Any]]:
        """Let four clients post the same again and again during the block; yield the list of what `post` returned.

        A request without an answer fails the test.
        """
        found: list[Any] = []
        errors: list[Exception] = []
        stop = threading.Event()

        def ask() -> None:
            try:
                while not stop.is_set():
                    found.append(self.post(path, **fields))
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            yield found
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert errors == []

    def post(self, path: str, headers: dict[str, str] | None = None, **fields: Any) -> tuple[int, Any]:
        own = {"Content-Type": "application/json", **(headers or {})}
        return self.send(path, json.dumps(fields).encode(), own)[:2]

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise


@pytest.fixture(scope="session")
def start_server(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start a server with a copy of the tiny run; all are stopped at the end."""
    started: list[Server] = []

    def start(*options: object, **keywords: Any) -> Server:
        run = tmp_path_factory.mktemp("served") / "tiny"
        shutil.copytree(tiny_run, run)
        started.append(Server(run, *options, **keywords))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def server(start_server: Callable[..., Server]) -> Server:
    """A server without keys."""
    return start_server("--max-characters", 200_000, "--max-lines", 2_000)


@pytest.fixture(scope="session")
def expected(tiny_run: Path) -> Callable[..., list[str]]:
    """What the run translates lines to, one at a time."""
    from translator import Translator

    translator = Translator.load(tiny_run)

    def translate(*lines: str, **options: Any) -> list[str]:
        return [text for line in lines for text in translator.translate([line], **options)]

    return translate
