"""What a person sees during the work (messages and progress, on stderr), and how results reach stdout.

Whatever is written to a terminal passes `printable` here. Results that go to a file or a pipe are left as they are.
"""

import contextlib
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from translator.errors import ReaderGoneError, TranslatorError
from translator.runtime.plain_progress import PlainProgress
from translator.runtime.printable import printable

_silent = False


def silence() -> None:
    """Say nothing more in this process: of several processes that do the same work, one reports for all."""
    global _silent
    _silent = True


def say(message: str) -> None:
    """Print a line to stderr, above any progress bar."""
    if not _silent:
        tqdm.write(printable(message), file=_Messages())


def warn(message: str) -> None:
    """Print a warning to stderr, above any progress bar."""
    say(f"warning: {message}")


def progress(
    iterable: Iterable[Any] | None = None,
    *,
    description: str,
    total: int | None = None,
    unit: str = "items",
    initial: int = 0,
) -> Any:
    """Wrap `iterable`, or make a bar to `update` by hand, and show progress and the time left on stderr.

    `unit` is a plural. A terminal gets a tqdm bar. Anything else, a file or a pipe, gets plain lines (`PlainProgress`).
    """
    messages = _Messages()
    if not _silent and not messages.isatty():
        return PlainProgress(say, iterable, description, total, unit, initial)
    return tqdm(
        iterable,
        desc=printable(description),
        total=total,
        unit=f" {unit}",
        initial=initial,
        file=messages,
        dynamic_ncols=True,
        disable=_silent,
        unit_scale=total is None or total > 10_000,
        mininterval=0.5,
    )


class _Messages:
    """The stderr of this moment, which never fails: work continues if nobody can be told of it."""

    def __init__(self) -> None:
        self._stream = sys.stderr

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError, AttributeError):  # A full disk, a closed terminal, `2>&-`.
            return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class ResultStream:
    """The stdout of this moment, for results: bytes as they are to a file or pipe, escaped for a terminal.

    Raises `ReaderGoneError` if the reader has stopped, and `TranslatorError` for all else that stops a writer.
    """

    def __init__(self, escape: bool = True) -> None:
        """With `escape`, what would reach a terminal is made printable."""
        if sys.stdout is None or sys.stdout.closed:
            raise TranslatorError("stdout is closed, so that results have nowhere to go; leave it open, or name a file")
        self._stream = sys.stdout
        self._escapes = escape and self._stream.isatty()

    def write(self, data: bytes) -> int:
        """Write bytes of UTF-8."""
        if self._escapes:
            data = printable(data.decode("utf-8", "replace")).encode("utf-8")
        try:
            return self._stream.buffer.write(data)
        except OSError as error:
            raise _unwritten(error) from None

    def flush(self) -> None:
        """Let readers have what was written."""
        try:
            self._stream.flush()
        except OSError as error:
            raise _unwritten(error) from None


def print_result(text: object = "", end: str = "\n", styled: bool = False) -> None:
    """Print a result to stdout; one that is `styled` has escape sequences of our own, in text that was escaped."""
    stream = ResultStream(escape=not styled)
    stream.write(f"{text}{end}".encode("utf-8", "backslashreplace"))
    stream.flush()


def _unwritten(error: OSError) -> TranslatorError:
    if isinstance(error, BrokenPipeError):
        return ReaderGoneError("the reader of stdout has gone")
    reason = error.strerror or str(error)
    return TranslatorError(f"results cannot be written to stdout ({reason}); what was written before is intact")
