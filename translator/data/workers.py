"""Processes that work on blocks of a corpus, one for each core; results come in the order of the blocks.

Each is a new Python that reads jobs and blocks from stdin and writes results to stdout. `multiprocessing` would run the
user's script again in each of them, unless that is guarded by `if __name__ == "__main__"`.
"""

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, BinaryIO, TypeVar, cast

from translator.errors import DataError

BLOCK_PAIRS = 8192
_ALONE = 4
"""Blocks that the calling process works on itself: a corpus that has no more is done before a process has started."""
_MOST = 8
"""Reading and writing a pair takes the calling process about an eighth of the time that the others need for it."""
_AHEAD = 2
"""Blocks for each process that are read before the first of them is done."""
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Workers:
    """Does jobs with `count` processes, which are started when a corpus is large enough; a context manager."""

    def __init__(self, count: int | None = None, sharing: int = 1) -> None:
        """`count` is by default one for each core that this process may use; 1 works without other processes.

        `sharing` is how many processes of this machine have such workers and share the cores.
        """
        self.count = count or max(1, min(cores() // sharing, _MOST))
        self._free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        self._threads: ThreadPoolExecutor | None = None

    def map(self, job: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
        """Yield `job(item)` for each item, in order, with as many items in memory as the processes need.

        The job, the items and the results must be picklable, and the results not depend on the process.
        """
        stream = iter(items)
        if self.count == 1:
            yield from map(job, stream)
        elif not self._workers:
            yield from map(job, islice(stream, _ALONE))
        pending: deque[Future[_Result]] = deque()
        for item in stream:
            pending.append(self._started().submit(self._work, job, item))
            if len(pending) >= self.count * _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    def _started(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._workers = [_Worker() for _ in range(self.count)]
            for worker in self._workers:
                self._free.put(worker)
            # A thread waits for each process.
            self._threads = ThreadPoolExecutor(self.count)
        return self._threads

    def _work(self, job: Callable[[_Item], _Result], item: _Item) -> _Result:
        worker = self._free.get()
        try:
            return cast(_Result, worker.ask(job, item))
        finally:
            self._free.put(worker)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._workers:
            worker.kill()
        if self._threads is not None:
            # Their processes are gone, so none of them waits.
            self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.close()
        self._workers, self._threads = [], None


class _Worker:
    """A process, and the job that it has."""

    def __init__(self) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", "from translator.data.workers import serve; serve()"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self._job: object = None

    def ask(self, job: object, item: object) -> object:
        """Return `job(item)`; raise what it raised, or `DataError` if the process died."""
        requests, answers = cast(BinaryIO, self._process.stdin), cast(BinaryIO, self._process.stdout)
        try:
            pickle.dump((None if job is self._job else job, item), requests, protocol=pickle.HIGHEST_PROTOCOL)
            requests.flush()
            self._job = job
            result, error = pickle.load(answers)
        except (EOFError, OSError, pickle.UnpicklingError):
            raise DataError(
                f"a process that prepares data has died (exit status {self._process.wait()}); if host memory ran out, "
                "set data.workers=1"
            ) from None
        if error is not None:
            raise error
        return result

    def kill(self) -> None:
        """End the process, which has nothing to finish."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Close the pipes of a process that has ended."""
        for stream in (self._process.stdin, self._process.stdout):
            # What was written and not read is lost.
            with contextlib.suppress(OSError):
                cast(BinaryIO, stream).close()


def serve() -> None:
    """Do the jobs that stdin brings until it ends, as it does when the calling process dies."""
    # An interrupt from the keyboard goes to all processes; the calling one ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    # What a library prints must not be taken for an answer.
    os.dup2(2, 1)
    job: Callable[[Any], Any] | None = None
    while True:
        try:
            new, item = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        job = new or job
        assert job is not None  # The first request brings one.
        try:
            answer: tuple[Any, Exception | None] = (job(item), None)
        except Exception as error:
            answer = (None, error)
        pickle.dump(answer, answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()


def blocks_of(items: Iterable[_Item], size: int = BLOCK_PAIRS) -> Iterator[Sequence[_Item]]:
    """Yield consecutive items in lists of `size`; the last may be shorter."""
    stream = iter(items)
    while block := list(islice(stream, size)):
        yield block


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
