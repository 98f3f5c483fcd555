"""The first signal asks, a later one ends; one that is passed on twice counts once."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import translator
from translator.training import signals
from translator.training.signals import Interruption

PROGRAM = """
import os, signal
from translator.training import signals
from translator.training.signals import Interruption
signals._ECHO_SECONDS = -1.0
signal.signal(signal.SIGINT, signal.default_int_handler)
with Interruption() as interruption:
    os.kill(os.getpid(), signal.{first})
    assert interruption.signal is signal.{first}
    print("saving", flush=True)
    os.kill(os.getpid(), signal.{second})
print("not here")
"""


@pytest.fixture(autouse=True)
def usual_handlers() -> Iterator[None]:
    """Those of a program in the foreground, whatever started the tests."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_first_signal_is_remembered(number: signal.Signals, code: int) -> None:
    with Interruption() as interruption:
        assert interruption.signal is None
        os.kill(os.getpid(), number)
        assert interruption.signal is number
        assert interruption.exit_code == code
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_an_echo_of_the_signal_changes_nothing() -> None:
    with Interruption() as interruption:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        assert interruption.signal is signal.SIGTERM


def test_a_terminal_that_closes_may_say_so_many_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_ECHO_SECONDS", -1.0)
    with Interruption() as interruption:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGHUP)
        assert interruption.signal is signal.SIGHUP
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_a_closed_terminal_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGHUP)
        assert interruption.signal is None
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_later_interrupt_is_an_exception_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_ECHO_SECONDS", -1.0)
    with pytest.raises(KeyboardInterrupt), Interruption():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("first", ["SIGINT", "SIGTERM"])
def test_a_later_termination_kills_as_usual(first: str) -> None:
    program = PROGRAM.format(first=first, second="SIGTERM")
    place = Path(translator.__file__).parents[1]
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=place)
    assert (result.returncode, result.stdout) == (-signal.SIGTERM, "saving\n"), result.stderr


def test_outside_the_main_thread_nothing_is_changed() -> None:
    handlers = []

    def work() -> None:
        with Interruption():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.SIG_DFL]
