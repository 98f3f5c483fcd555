"""Joins the lines of requests that come together into batches, and keeps the queue bounded.

A thread translates the batches of one direction. While it does, further requests wait, and all of them form the next
batch; a request that finds the thread idle waits for a few milliseconds for others. Requests share a batch in equal
parts, so that a sentence is not delayed by a long document for more than one batch.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any

from translator.translation import ConstrainedLine, TranslatedLine

Line = str | ConstrainedLine
TranslateLines = Callable[[Sequence[Line], Any], list[TranslatedLine]]
"""Translates lines under one set of options."""

BATCH_LINES = {"cpu": 32, "cuda": 256}
"""Most lines of a batch, by device: few enough that requests are read and answers sent while the next batch is
translated. On the CPU 64 lines at once cost hardly less CPU time for each line than 32 (6% in scripts/RESULTS.md)."""


class QueueFullError(Exception):
    """There is no room for a request in the queue; it should be sent again later."""


class StoppedError(Exception):
    """The batcher has been stopped."""


@dataclass(eq=False)
class _Job:
    lines: Sequence[Line]
    options: Any
    future: "Future[list[TranslatedLine]] | asyncio.Future[list[TranslatedLine]]"
    loop: asyncio.AbstractEventLoop | None = None
    """The event loop of the future, if it has one."""
    characters: int = 0
    begun: int = 0
    """Lines that were put into batches."""
    answers: list[TranslatedLine] = field(default_factory=list)
    error: BaseException | None = None


class Batcher:
    """Translates lines of several threads or coroutines in common batches."""

    def __init__(
        self, translate: TranslateLines, *, window: float, queue_characters: int, batch_lines: int = 32, name: str = ""
    ) -> None:
        """`window` is in seconds; a queue of `queue_characters` or more takes no more requests (0: no bound).

        `batch_lines` is the most lines of a batch.
        """
        self._batch_lines = batch_lines
        self._translate, self._window, self._most = translate, window, queue_characters
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._characters = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name=f"translate {name}", daemon=True)
        self._thread.start()

    @property
    def waiting_characters(self) -> int:
        """Characters that are waiting or being translated."""
        return self._characters

    @property
    def waiting_requests(self) -> int:
        """Requests that are waiting or being translated."""
        return len(self._jobs)

    def submit(self, lines: Sequence[Line], options: Any) -> "Future[list[TranslatedLine]]":
        """Queue lines; the future has their translations, in order. `options` must be hashable.

        Lines are batched with others whose options are equal. A future that is cancelled gives up its lines. Raises
        `QueueFullError` or `StoppedError`.
        """
        future: Future[list[TranslatedLine]] = Future()
        self._add(_Job(lines, options, future))
        return future

    async def translate(self, lines: Sequence[Line], options: Any) -> list[TranslatedLine]:
        """As `submit`, for coroutines; cancelling the coroutine gives up the lines."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[TranslatedLine]] = loop.create_future()
        self._add(_Job(lines, options, future, loop))
        return await future

    def _add(self, job: _Job) -> None:
        if not job.lines:
            job.future.set_result([])
            return
        job.characters = sum(len(line if isinstance(line, str) else line.text) + 1 for line in job.lines)
        with self._changed:
            if self._stopping:
                raise StoppedError
            # A request that is longer than the whole queue is taken if it is alone.
            if self._most and self._jobs and self._characters + job.characters > self._most:
                raise QueueFullError
            self._jobs.append(job)
            self._characters += job.characters
            self._changed.notify_all()

    def stop(self) -> None:
        """Take no more lines; those that are queued are still translated."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until all that was queued is translated; `stop` comes first."""
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                was_idle = not self._jobs
                while not self._jobs and not self._stopping:
                    self._changed.wait()
                if not self._jobs:
                    return
            if was_idle and self._window:
                self._wait_for_others()
            self._step()

    def _wait_for_others(self) -> None:
        """Wait until the window has passed, or requests have stopped arriving."""
        end = time.monotonic() + self._window
        with self._changed:
            while (left := end - time.monotonic()) > 0 and len(self._jobs) < self._batch_lines and not self._stopping:
                if not self._changed.wait(min(left, self._window / 2)):
                    return

    def _step(self) -> None:
        """Translate one batch: a share of every job whose options are those of the first."""
        with self._changed:
            for job in [job for job in self._jobs if job.future.cancelled()]:
                self._remove(job)
            if not self._jobs:
                return
            options = self._jobs[0].options
            jobs = [job for job in self._jobs if job.options == options][: self._batch_lines]
        share = max(1, self._batch_lines // len(jobs))
        parts = [job.lines[job.begun : job.begun + share] for job in jobs]
        finished = []
        for job, answers in zip(jobs, self._translated(parts, options), strict=True):
            if isinstance(answers, BaseException):
                job.error = answers
            else:
                job.answers += answers
                job.begun += len(answers)
            if job.error is not None or job.begun == len(job.lines):
                finished.append(job)
        with self._changed:
            for job in finished:
                self._remove(job)
            # Options take turns.
            self._jobs.rotate(len(finished) - len(jobs))
        _settle_all(finished)

    def _translated(
        self, parts: Sequence[Sequence[Line]], options: Any
    ) -> list["list[TranslatedLine] | BaseException"]:
        try:
            answers = iter(self._translate([line for part in parts for line in part], options))
            return [[next(answers) for _ in part] for part in parts]
        except Exception as error:
            if len(parts) == 1:
                return [error]
        # One of them cannot be translated; the others should not suffer.
        return [self._translated([part], options)[0] for part in parts]

    def _remove(self, job: _Job) -> None:
        self._jobs.remove(job)
        self._characters -= job.characters


def _settle_all(jobs: Sequence[_Job]) -> None:
    """Set the results of finished jobs: those of an event loop in one call, since each call wakes its thread."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[_Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, own in by_loop.items():
        if loop is None:
            _settle(own)
        else:
            with contextlib.suppress(RuntimeError):  # A loop that has ended has nobody who waits.
                loop.call_soon_threadsafe(_settle, own)


def _settle(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        # The client may have hung up meanwhile.
        with contextlib.suppress(InvalidStateError, asyncio.InvalidStateError):
            if job.error is None:
                job.future.set_result(job.answers)
            else:
                job.future.set_exception(job.error)
