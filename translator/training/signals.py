"""SIGINT, SIGTERM and SIGHUP (a closed terminal) as a request to finish the current step, save and exit."""

import signal
import threading
import time
from types import FrameType, TracebackType

# Schedulers and torchrun each forward a signal, so that it may arrive twice.
_ECHO_SECONDS = 2.0

# Windows has no SIGHUP.
REQUESTS = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""The signals that ask a training to save and exit."""


class Interruption:
    """While active, records the first of `REQUESTS` instead of ending the process; a later one kills as usual.

    A later SIGHUP does nothing: a terminal that closes sends several. One that is ignored from the beginning, as under
    `nohup`, stays ignored.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._since = 0.0
        self._previous: dict[signal.Signals, object] = {}

    @property
    def exit_code(self) -> int:
        """The exit code that shells expect after this signal: 130, 143 or 129."""
        return 128 + int(self.signal or 0)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal, self._since = signal.Signals(number), time.monotonic()
        elif time.monotonic() - self._since > _ECHO_SECONDS and signal.Signals(number).name != "SIGHUP":
            self._restore()
            signal.raise_signal(number)

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            for number in REQUESTS:
                if number.name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN:
                    continue
                self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _restore(self) -> None:
        while self._previous:
            number, handler = self._previous.popitem()
            # None means a handler that was not set from Python and cannot be set back from it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # type: ignore[arg-type]
