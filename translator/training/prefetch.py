"""One thread that makes what the training loop needs next, while the current step is computed."""

import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")

# One item waits here while the thread makes another: enough, since a step takes longer than making its batches.
_WAITING = 1


class Prefetch(Generic[Item]):
    """Iterates over `items` in a thread of its own, a few ahead of whoever calls `next`; the order is kept.

    What `items` raises is raised by `next`, with its traceback. The thread begins with the first `next` and ends with
    `close`, with the items, or with an error. Only it advances `items`, which must not draw from global random states.
    """

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self._made: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(_WAITING)
        self._closed = threading.Event()
        # A daemon, so that a process that dies in between is not kept alive by it.
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._error: BaseException | None = None

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        if self._error is None:
            if self._closed.is_set():
                raise StopIteration
            if self._thread.ident is None:
                self._thread.start()
            item, self._error = self._made.get()
            if self._error is None:
                return item  # type: ignore[return-value]  # None comes with an error only
        raise self._error

    def close(self) -> None:
        """End the thread, at the latest after the item that it is making."""
        self._closed.set()
        if self._thread.ident is None:
            return
        # Makes room for the item that the thread may be waiting to deliver; it makes no other after that.
        while not self._made.empty():
            self._made.get_nowait()
        self._thread.join()

    def __enter__(self) -> "Prefetch[Item]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        try:
            for item in self._items:
                self._made.put((item, None))
                if self._closed.is_set():
                    return
            raise StopIteration
        except BaseException as error:  # whatever it is, the loop must not wait for ever
            self._made.put((None, error))
