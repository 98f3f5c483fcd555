"""Progress on stderr: a bar for a terminal, plain lines for anything else."""

import io
import sys

import pytest

from translator.runtime import console, plain_progress


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time on the clock, which stops unless a test moves it."""
    now = [100.0]
    monkeypatch.setattr(plain_progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_at_each_log_point_and_at_the_end(seconds: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress(description="training", total=1200, unit="steps", initial=1000) as bar:
        for step in range(1001, 1201):
            seconds[0] += 0.125
            bar.update()
            if step % 80 == 0:
                bar.set_postfix_str(f"loss {step / 1000:.2f}")
    assert capsys.readouterr().err.splitlines() == [
        "training: 1,040 of 1,200 steps in 00:05, 00:20 left; loss 1.04",
        "training: 1,120 of 1,200 steps in 00:15, 00:10 left; loss 1.12",
        "training: 1,200 of 1,200 steps in 00:25; loss 1.20",
    ]


def test_without_log_points_a_line_every_half_minute(seconds: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    def slow() -> list[int]:
        found = []
        for item in console.progress(range(7), description="checking train", unit="pairs"):
            seconds[0] += 11
            found.append(item)
        return found

    assert slow() == list(range(7))
    errors = capsys.readouterr().err
    assert errors.splitlines() == [
        f"checking train: {count} pairs in 0{time}" for count, time in ((3, "0:33"), (6, "1:06"), (7, "1:17"))
    ]


def test_what_is_interrupted_prints_no_end(seconds: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        for item in console.progress(range(3), description="checking", unit="pairs"):
            raise ZeroDivisionError(item)
    with pytest.raises(SystemExit), console.progress(description="training", total=3, unit="steps") as bar:
        bar.update()
        raise SystemExit(143)
    assert capsys.readouterr().err == ""


def test_going_back_counts_from_the_beginning(seconds: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress(description="training", total=10, unit="steps", initial=4) as bar:
        bar.update(3)
        bar.reset()
        bar.update(2)
        seconds[0] += 2
        bar.set_postfix_str("back")
    assert capsys.readouterr().err == "training: 2 of 10 steps in 00:02, 00:08 left; back\n"


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(console.progress(range(3), description="checking", total=3, unit="pairs")) == [0, 1, 2]
    assert "\r" in terminal.getvalue() and "3/3" in terminal.getvalue()


def test_a_silent_process_shows_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(console, "_silent", True)
    with console.progress(description="training", total=3, unit="steps") as bar:
        bar.update()
        bar.set_postfix_str("loss 1")
    assert list(console.progress(range(2), description="checking")) == [0, 1]
    assert capsys.readouterr().err == ""
