"""Lines of input: as many as were written, damaged or not."""

import gzip
import io
import os
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from translator.errors import DataError
from translator.text import InputLines, count_lines, decode_lines, open_input, raw_lines
from translator.text.raw_lines import ArrivingLines, bounded_lines


def test_damaged_bytes_are_replaced_and_reported(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.BytesIO(b"\xef\xbb\xbfgood\nba\xffd\n\ngood\n\xc3")
    assert list(decode_lines(stream, "stdin")) == ["good", "ba\ufffdd", "", "good", "\ufffd"]
    assert capsys.readouterr().err == (
        "warning: stdin: lines 2, 5 are not valid UTF-8; the invalid bytes became U+FFFD\n"
    )


def test_many_damaged_lines_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    list(decode_lines([b"\xff\n"] * 12, "stdin"))
    assert "lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ... (12 in all) are not" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_refused_by_name(encoding: str) -> None:
    with pytest.raises(DataError, match="a.txt is UTF-16; expected UTF-8. Convert it: `iconv"):
        list(decode_lines(io.BytesIO("\ufeffa dog".encode(encoding)), "a.txt"))


def test_files_may_be_compressed(tmp_path: Path) -> None:
    plain, packed, broken = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    plain.write_bytes(b"one\r\ntwo")
    packed.write_bytes(gzip.compress(b"one\r\ntwo"))
    broken.write_bytes(gzip.compress(b"one\r\ntwo" * 1000)[:-10])
    for file in (plain, packed):
        with open_input(file) as stream:
            assert list(decode_lines(stream, "file")) == ["one\r", "two"]
    with (
        open_input(broken) as stream,
        pytest.raises(DataError, match="c, line .*truncated"),
    ):
        list(decode_lines(stream, "c"))
    with pytest.raises(DataError, match="cannot read .*missing: No such file"):
        open_input(tmp_path / "missing")


def test_damaged_bytes_can_be_refused() -> None:
    with pytest.raises(DataError, match="stdin, line 2, byte 3: found the byte 0xFF, which is not valid UTF-8 there"):
        list(decode_lines(io.BytesIO(b"good\nba\xffd\n"), "stdin", refuse=True))


def test_utf32_is_not_called_utf16() -> None:
    with pytest.raises(DataError, match="a.txt is UTF-32"):
        list(decode_lines(io.BytesIO("\ufeffa".encode("utf-32-le")), "a.txt"))


@pytest.mark.parametrize("text", [b"", b"\n", b"a", b"a\n", b"a\nb", b"\r\n\x0b\n\n"])
def test_lines_of_a_file_are_counted_as_they_are_read(tmp_path: Path, text: bytes) -> None:
    plain, packed = tmp_path / "a", tmp_path / "b"
    plain.write_bytes(text)
    packed.write_bytes(gzip.compress(text))
    expected = len(list(decode_lines(io.BytesIO(text), "text")))
    assert [count_lines(plain), count_lines(packed)] == [expected, expected]
    assert count_lines(tmp_path / "missing") is None
    os.mkfifo(tmp_path / "pipe")
    assert count_lines(tmp_path / "pipe") is None


def test_a_pipe_tells_whether_a_line_has_arrived() -> None:
    reading, writing = os.pipe()
    lines = ArrivingLines(reading)
    following = iter(lines)
    os.write(writing, b"one\ntwo\nthr")
    assert [next(following), lines.waits(), next(following), lines.waits()] == [b"one\n", False, b"two\n", True]
    os.write(writing, b"ee\nfour")
    assert [lines.waits(), next(following), lines.waits()] == [False, b"three\n", True]
    os.close(writing)
    assert [lines.waits(), list(following), lines.waits()] == [False, [b"four"], False]
    os.close(reading)


def test_a_line_longer_than_a_pipe_holds_is_read_whole() -> None:
    reading, writing = os.pipe()
    if os.fork() == 0:  # pragma: no cover
        os.write(writing, b"x" * 300_000 + b"\nend")
        os._exit(0)
    os.close(writing)
    assert list(ArrivingLines(reading)) == [b"x" * 300_000 + b"\n", b"end"]
    os.close(reading)


def test_inputs_are_read_one_after_the_other() -> None:
    inputs = InputLines([("first", io.BytesIO(b"\xef\xbb\xbfa\nb")), ("second", io.BytesIO(b"\xef\xbb\xbfc\n"))])
    assert list(inputs) == ["a", "b", "c"]
    assert not inputs.waits()


@pytest.mark.parametrize("pipe", [False, True])
def test_a_line_over_the_limit_is_left_blank_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pipe: bool
) -> None:
    monkeypatch.setattr(raw_lines, "MAX_LINE_BYTES", 1000)
    monkeypatch.setattr(raw_lines, "BLOCK_BYTES", 512)
    data = b"one\n" + b"x" * 1000 + b"\n" + b"y" * 1001 + b"\n" + b"z" * 5000 + b"\nfour\n\n" + b"end" * 999
    if pipe:
        reading, writing = os.pipe()
        thread = threading.Thread(target=lambda: (os.write(writing, data), os.close(writing)))
        thread.start()
        raw = list(ArrivingLines(reading))
        thread.join()
        os.close(reading)
    else:
        raw = list(bounded_lines(io.BytesIO(data)))
    expected = [b"one\n", b"x" * 1000 + b"\n", None, None, b"four\n", b"\n", None]
    assert raw == expected
    lines = list(decode_lines(raw, "text", blank_long=True))
    assert lines == ["one", "x" * 1000, "", "", "four", "", ""]
    assert "warning: text: lines 3, 4, 7 are longer than 1 MiB; left blank" in capsys.readouterr().err.replace(
        f"{1000 >> 20} MiB", "1 MiB"
    )
    with pytest.raises(DataError, match="text, line 3: the line is longer than"):
        list(decode_lines(raw, "text"))


class Endless(io.RawIOBase):
    """A line that never ends."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        buffer[:] = b"x" * len(buffer)
        return len(buffer)


def test_a_line_without_an_end_is_refused_in_bounded_memory() -> None:
    with pytest.raises(DataError, match="endless, after line 1: a line has no end within 1 GiB"):
        list(decode_lines(io.BufferedReader(Endless()), "endless", blank_long=True))
    with pytest.raises(DataError, match="endless, line 1: the line is longer than 1 MiB"):
        list(decode_lines(io.BufferedReader(Endless()), "endless"))
    with open("/dev/zero", "rb") as zeros, pytest.raises(DataError, match="/dev/zero is binary data, not text"):
        list(decode_lines(zeros, "/dev/zero", blank_long=True))


def test_damage_inside_compressed_text_is_named(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b"".join(b"%d is a line\n" % number for number in range(20_000))))
    for place in range(30, len(packed) - 8, len(packed) // 25):
        damaged = packed.copy()
        damaged[place] ^= 0xFF
        file = tmp_path / "a.gz"
        file.write_bytes(damaged)
        with (
            open_input(file) as stream,
            pytest.raises(DataError, match=r"a.gz, line [\d,]+: the gzip data .*(damaged|trunc)"),
        ):
            list(decode_lines(stream, "a.gz"))
        count_lines(file)


@pytest.mark.parametrize("pipe", [False, True])
def test_a_line_of_fifty_megabytes_takes_little_memory(pipe: bool) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as stream:
            for _ in range(50):
                stream.write(b"x" * 1_000_000)
            stream.write(b"\nlast\n")

    thread = threading.Thread(target=write)
    thread.start()
    tracemalloc.start()
    with os.fdopen(reading, "rb") as stream:
        raw = ArrivingLines(reading) if pipe else stream
        assert list(decode_lines(raw, "pipe", blank_long=True)) == ["", "last"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    thread.join()
    assert peak < 10_000_000
