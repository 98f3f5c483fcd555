"""Fuzzers: seeded, so that a failure names the number of the input that made it, and bounded.

The suite tries a part of the inputs, for about half a minute in all. `TRANSLATOR_FUZZ=1` tries all of them, and
`TRANSLATOR_FUZZ=10` ten times as many: `TRANSLATOR_FUZZ=1 python -m pytest tests/fuzz`. Whatever is tried must end
within five seconds, in a result or in a sentence, never in a traceback.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from random import Random
from types import FrameType

import pytest

LIMIT_SECONDS = 5
PATIENCE_SECONDS = 60
"""For a process that waits for other work on the machine: that long on the clock, without its own five seconds."""

Attempts = Callable[[int, int], Iterator[tuple[int, Random]]]


class Hang(BaseException):
    """An input that took too long; no `except Exception` catches it."""


@pytest.fixture(scope="session")
def attempts() -> Attempts:
    """Call with how many inputs there are in all, and in the suite: their numbers, each with its random numbers."""
    times = float(os.environ.get("TRANSLATOR_FUZZ", "0"))

    def numbers(whole: int, part: int) -> Iterator[tuple[int, Random]]:
        for number in range(int(whole * times) if times else part):
            yield number, Random(number)

    return numbers


@contextlib.contextmanager
def watched(number: int) -> Iterator[None]:
    """Fail, with the number of the input, what fails or takes too long in this block."""

    worked, began = time.process_time(), time.monotonic()

    def stop(_: int, frame: FrameType | None) -> None:
        waited = time.monotonic() - began
        if time.process_time() - worked < LIMIT_SECONDS and waited < PATIENCE_SECONDS:
            signal.alarm(1)
            return
        raise Hang(f"input {number} took more than {LIMIT_SECONDS} seconds ({waited:.0f} on the clock)")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT_SECONDS)
    try:
        yield
    except Exception as error:
        raise AssertionError(f"input {number} ended in {type(error).__name__}: {error}") from error
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def mutated(data: bytes, random: Random) -> bytes:
    """Damage bytes as disks, transfers, editors and people do."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 10))):
        place, length = random.randrange(len(changed) + 1), random.choice((1, 1, 2, 4, 16, 100))
        how = random.randrange(8)
        if how == 0:
            changed[place : place + length] = random.randbytes(length)
        elif how == 1:
            changed[place : place + length] = b""
        elif how == 2:
            changed[place:place] = random.randbytes(length)
        elif how == 3:
            del changed[place:]
        elif how == 4:
            changed[place:place] = random.choice(PIECES)
        elif how == 5:
            changed[place : place + length] = bytes(length)
        elif how == 6:
            changed[place:place] = changed[place : place + random.randrange(1000)]
        elif changed:
            changed[place % len(changed)] ^= 1 << random.randrange(8)
    return bytes(changed)


PIECES = (
    b"\n", b"\r\n", b"\r", b"\0", b'"', b"'", b"\t", b",", b"{", b"}", b"[", b"]", b"\\", b"\\ud800", b"\xff\xfe",
    b"\xef\xbb\xbf", b"\x1f\x8b", b"\xc3", b"\xed\xa0\x80", "\u2028\x85".encode(), b"null", b"1e999", b"9" * 5000,
    b"NaN", b'{"a":' * 2000, b"[" * 5000, b"x" * 200_000, b"\x1b]0;title\x07", b": ", b"- ", b"&a ", b"*a", b"? ",
    b"!!python/object:os.system ", b"${HOME}", b"%YAML 9.9\n---\n",
)  # fmt: skip
