"""Progress as plain lines, for a stderr that is a file or a pipe; `console.progress` chooses it."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tqdm import tqdm

# Between two lines without a log point.
_LINE_SECONDS = 30.0


class PlainProgress:
    """Progress as plain lines, with the part of tqdm's interface that we use.

    A line is printed at every log point (`set_postfix_str`), or when there has been none for half a minute, and at the
    end; never a carriage return.
    """

    def __init__(
        self, print_line: Callable[[str], None], iterable: Iterable[Any] | None, description: str, total: int | None,
        unit: str, initial: int,
    ) -> None:  # fmt: skip
        self._print_line, self._iterable, self._description, self._unit = print_line, iterable, description, unit
        self._total, self._count, self._initial = total, initial, initial
        self._began = self._printed = time.monotonic()
        self._printed_count = -1

    def __iter__(self) -> Iterator[Any]:
        with self:
            for item in self._iterable or ():
                yield item
                self.update()

    def __enter__(self) -> "PlainProgress":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._count != self._printed_count:
            self._print("")

    def update(self, count: int = 1) -> None:
        """Count what has been done since the last call."""
        self._count += count
        if time.monotonic() - self._printed >= _LINE_SECONDS:
            self._print("")

    def set_postfix_str(self, text: str) -> None:
        """Print a line now, with `text` at its end."""
        self._print(text)

    def reset(self) -> None:
        """Count from 0 again."""
        self._count = self._initial = 0
        self._began = time.monotonic()

    def _print(self, text: str) -> None:
        self._printed, self._printed_count = time.monotonic(), self._count
        elapsed, done = self._printed - self._began, self._count - self._initial
        line = f"{self._description}: {self._count:,}"
        if self._total is not None:
            line += f" of {self._total:,}"
        line += f" {self._unit} in {tqdm.format_interval(elapsed)}"
        if self._total is not None and done > 0 and self._count < self._total:
            line += f", {tqdm.format_interval(elapsed / done * (self._total - self._count))} left"
        self._print_line(f"{line}; {text}" if text else line)
