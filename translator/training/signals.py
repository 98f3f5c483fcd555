"""SIGINT and SIGTERM as a request to finish the current step, save and exit."""

import signal
import threading
import time
from types import FrameType, TracebackType

# Schedulers and torchrun each forward a signal, so that it may arrive twice.
_ECHO_SECONDS = 2.0


class Interruption:
    """While active, records the first SIGINT or SIGTERM instead of ending the process; a later one kills as usual."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._since = 0.0
        self._previous: dict[signal.Signals, object] = {}

    @property
    def exit_code(self) -> int:
        """The exit code that shells expect after this signal: 130 or 143."""
        return 128 + int(self.signal or 0)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal, self._since = signal.Signals(number), time.monotonic()
        elif time.monotonic() - self._since > _ECHO_SECONDS:
            self._restore()
            signal.raise_signal(number)

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
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
