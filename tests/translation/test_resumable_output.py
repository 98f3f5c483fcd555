"""Files of translations: complete if they exist, and going on where they were interrupted."""

import errno
import itertools
import json
import os
from pathlib import Path

import pytest

from translator.errors import DataError
from translator.translation.resumable_output import open_output
from translator.translation.unfinished import find_notes

MADE_WITH = {"beam_size": 5, "runs": ["a"]}


def note_of(path: Path) -> Path:
    (note,) = find_notes(path)
    return note


def text_of(path: Path) -> Path:
    return note_of(path).with_suffix("")


class Interrupted(BaseException):
    """Stands for a signal."""


def write(path: Path, lines: list[str], stop: int | None = None, note: bool = False, **made_with: object) -> int:
    """Write `lines` in upper case; return behind how many it went on."""
    with open_output(path, {**MADE_WITH, **made_with}) as output:
        following = iter(lines)
        output.resume(following)
        begun = output.lines
        for place, line in enumerate(following, start=output.lines):
            if place == stop:
                raise Interrupted
            output.write(line, line.upper())
            if note:
                output.note()
    return begun


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old\n")
    with pytest.raises(Interrupted):
        write(path, ["a", "b"], stop=1)
    assert path.read_text() == "old\n"
    assert write(path, ["a", "b"]) == 1
    assert path.read_text() == "A\nB\n"
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("stop", range(4))
def test_an_interrupted_file_becomes_that_of_an_uninterrupted_writing(tmp_path: Path, stop: int) -> None:
    lines = ["a", "", "ü\r", "long" * 99]
    path = tmp_path / "out"
    with pytest.raises(Interrupted):
        write(path, lines, stop=stop)
    assert write(path, lines) == stop
    assert path.read_bytes() == "".join(f"{line.upper()}\n" for line in lines).encode()


def test_what_was_written_behind_the_last_note_is_written_again(tmp_path: Path) -> None:
    """After a kill there may be any number of bytes more, half a line too."""
    path = tmp_path / "out"
    with pytest.raises(Interrupted):
        write(path, ["a", "b", "c"], stop=2, note=True)
    with text_of(path).open("ab") as file:
        file.write(b"C\nhal")
    assert write(path, ["a", "b", "c"]) == 2
    assert path.read_text() == "A\nB\nC\n"


def test_a_note_of_more_than_there_is_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with pytest.raises(Interrupted):
        write(path, ["a", "b"], stop=1)
    text_of(path).write_bytes(b"A")
    assert write(path, ["a", "b"]) == 0
    assert path.read_text() == "A\nB\n"


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"bytes": 1}'])
def test_a_damaged_note_does_not_count(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "out"
    with pytest.raises(Interrupted):
        write(path, ["a", "b"], stop=1)
    note_of(path).write_text(damage)
    assert write(path, ["a", "b"]) == 0
    assert path.read_text() == "A\nB\n"


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with pytest.raises(Interrupted):
        write(path, ["a", "b"], stop=1)
    kept = text_of(path).read_bytes(), note_of(path).read_text()
    with pytest.raises(DataError, match=r"1 line that was translated otherwise \(beam_size 5 and now 4\); repeat"):
        write(path, ["a", "b"], beam_size=4)
    assert (text_of(path).read_bytes(), note_of(path).read_text()) == kept


@pytest.mark.parametrize("lines", [["x", "b"], []])
def test_another_input_is_refused(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "out"
    with pytest.raises(Interrupted):
        write(path, ["a", "b"], stop=1)
    with pytest.raises(DataError, match="the first 1 line of the input is not those that .*unfinished was made"):
        write(path, lines)
    assert json.loads(note_of(path).read_text())["lines"] == 1


def test_two_cannot_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with (
        open_output(path, MADE_WITH) as output,
        pytest.raises(DataError, match=r"process \d+ \(.*\) is writing .*out; wait"),
        open_output(path, MADE_WITH),
    ):
        pass
    assert output.lines == 0


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot write .*No such file"), open_output(tmp_path / "no" / "out", {}):
        pass


def test_a_disk_that_fills_up_keeps_what_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, lines = tmp_path / "out", [f"line {number} " + "x" * 5000 for number in range(8)]
    calls, real = itertools.count(), os.pwrite

    def fill_up(descriptor: int, data: bytes, offset: int) -> int:
        if next(calls) >= 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data[:3000], offset)  # As a disk that is nearly full does.

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", fill_up)
        with pytest.raises(DataError, match="cannot write .*out: No space left on device; what is complete"):
            write(path, lines, note=True)
    assert write(path, lines) in (0, 1)
    assert path.read_text() == "".join(f"{line.upper()}\n" for line in lines)
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
