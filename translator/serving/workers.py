"""Worker processes: each loads all runs and accepts connections from one socket; the parent starts and replaces them.

uvicorn's own supervisor is not used: it asks each worker for a sign of life and blocks until the answer or a timeout.
A worker that is killed in between never answers, and until the timeout no worker is replaced and no signal is heeded.
"""

import contextlib
import multiprocessing
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import wait
from typing import Any

from translator.errors import TranslatorError
from translator.runtime.console import say, warn
from translator.serving.options import ServerOptions
from translator.serving.parent import end_with_parent

_STARTUP_FAILURE = 3
"""Exit code of a worker that has said why it cannot start."""
_TICK_SECONDS = 0.2
_LEAST_PAUSE, _MOST_PAUSE = 1.0, 60.0
"""Seconds until a worker that could not start is started again; doubled each time."""
_SPAWN = multiprocessing.get_context("spawn")


class Workers:
    """The worker processes of a server; used by the main thread of the parent."""

    def __init__(self, options: ServerOptions, listener: socket.socket) -> None:
        self._options, self._listener = options, listener
        self._workers: list[_Worker] = []
        self._outdated: list[_Worker] = []
        """Workers to be replaced by ones that load the runs again."""
        self._leaving: list[_Worker] = []
        """Workers that take no more connections and finish their requests."""
        self._successor: _Worker | None = None
        """The worker that will replace the first outdated one as soon as it is ready."""
        self._was_ready = False
        self._pause, self._not_before = _LEAST_PAUSE, 0.0
        self._is_stopping = self._is_reload_wanted = False

    def run(self) -> None:
        """Run until SIGTERM or SIGINT, and let requests finish; SIGHUP replaces one worker after the other.

        Raises `TranslatorError` if no worker can start.
        """
        with self._signals():
            try:
                while not self._is_stopping:
                    self._start_missing()
                    everyone = [*self._workers, *self._leaving, *([self._successor] if self._successor else [])]
                    wait([worker.process.sentinel for worker in everyone], _TICK_SECONDS)
                    self._notice_ends()
                    self._reload()
            finally:
                self._stop()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(number: int, frame: object) -> None:
            self._is_stopping = True

        def reload(number: int, frame: object) -> None:
            self._is_reload_wanted = True

        wanted = {"SIGTERM": stop, "SIGINT": stop, "SIGHUP": reload}
        numbers = {getattr(signal, name): own for name, own in wanted.items() if hasattr(signal, name)}
        previous = {number: signal.signal(number, own) for number, own in numbers.items()}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _start_missing(self) -> None:
        while len(self._workers) < self._options.workers and time.monotonic() >= self._not_before:
            self._workers.append(_Worker(self._options, self._listener))

    def _notice_ends(self) -> None:
        """Forget workers that have ended; those that could not start are started again after a pause."""
        for worker in self._workers:
            if worker.is_ready:
                self._was_ready, self._pause = True, _LEAST_PAUSE
        for worker in [own for own in self._workers if not own.process.is_alive()]:
            self._workers.remove(worker)
            if worker.is_ready:
                warn(f"a worker has ended ({worker.end}); another is started")
                continue
            if not self._was_ready:
                raise TranslatorError(f"a worker could not start ({worker.end})")
            warn(f"a worker could not start ({worker.end}); the next attempt is in {self._pause:g} seconds")
            self._not_before = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _MOST_PAUSE)
        self._outdated = [worker for worker in self._outdated if worker in self._workers]
        self._leaving = [worker for worker in self._leaving if worker.process.is_alive()]

    def _reload(self) -> None:
        """Continue to replace outdated workers: start a successor, wait until it is ready, let the old one leave."""
        if self._is_reload_wanted:
            self._is_reload_wanted = False
            self._outdated = list(self._workers)
        successor = self._successor
        if successor is None:
            if self._outdated:
                self._successor = _Worker(self._options, self._listener)
            return
        if successor.is_ready:
            self._successor = None
            self._workers.append(successor)
            # Where an outdated worker was killed meanwhile, another was started for it, and one is too many.
            if len(self._workers) > self._options.workers:
                old = self._outdated.pop(0) if self._outdated else self._workers[0]
                self._workers.remove(old)
                old.process.terminate()
                self._leaving.append(old)
            if not self._outdated:
                say("reloaded: all workers were replaced")
        elif not successor.process.is_alive():
            self._successor, self._outdated = None, []
            warn(f"not reloaded, the workers stay as they are ({successor.end})")

    def _stop(self) -> None:
        """End all workers; those that do not finish in time are killed."""
        everyone = [*self._workers, *self._leaving, *([self._successor] if self._successor else [])]
        for worker in everyone:
            worker.process.terminate()
        # The workers themselves give up requests after `drain_seconds`.
        end = time.monotonic() + self._options.drain_seconds + 5
        for worker in everyone:
            worker.process.join(max(0.0, end - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


class _Worker:
    """A worker process as its parent sees it."""

    def __init__(self, options: ServerOptions, listener: socket.socket) -> None:
        self._receiver, sender = _SPAWN.Pipe(duplex=False)
        self._is_ready = False
        self.process = _SPAWN.Process(target=_work, args=(options, listener, sender))
        self.process.start()
        sender.close()

    @property
    def is_ready(self) -> bool:
        """Whether it has loaded the runs (it may have ended since)."""
        # The end of the pipe, which is there if the process has ended, can be read, too.
        with contextlib.suppress(EOFError, OSError):
            while not self._is_ready and self._receiver.poll():
                self._is_ready = self._receiver.recv()
        return self._is_ready

    @property
    def end(self) -> str:
        """How it ended."""
        code = self.process.exitcode or 0
        return f"signal {-code}" if code < 0 else "the reason is above" if code == _STARTUP_FAILURE else f"exit {code}"


def _work(options: ServerOptions, listener: socket.socket, ready: Any) -> None:
    """Serve in a worker process. Until the runs are loaded, SIGTERM ends it at once: no requests have begun."""
    for name in ("SIGINT", "SIGHUP"):  # A terminal sends them to all processes; the parent decides.
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    from translator.serving.app import make_app
    from translator.serving.http_server import make_server
    from translator.serving.metrics import Metrics
    from translator.serving.models import Models

    metrics = Metrics()
    try:
        models = Models(options, metrics)
    except TranslatorError as error:
        warn(f"the worker cannot start: {error}")
        sys.exit(_STARTUP_FAILURE)
    app = make_app(options, models, metrics)
    ready.send(True)
    make_server(app, options).run(sockets=[listener])
