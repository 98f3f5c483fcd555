"""Lines of corpora are read strictly: only a line feed ends a line, and damage is named with file and line."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from translator.errors import DataError
from translator.text import corpus_lines as lines_module
from translator.text import read_lines
from translator.text.encoding import binary_kind

ODD = "one\r\ntwo\u2028still two\u0085\v\f\x1c\n\n  \n\0six\n🙂 last"

line_text = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n"), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    lines=st.lists(line_text, max_size=8),
    ends=st.booleans(),
    packed=st.booleans(),
    block=st.sampled_from([1, 2, 3, 7, 1 << 20]),
)
def test_lines_are_what_is_between_line_feeds(
    tmp_path: Path, lines: list[str], ends: bool, packed: bool, block: int
) -> None:
    text = "\n".join(lines) + ("\n" if ends and lines else "")
    data = ("x\n" + text).encode()  # a first line that looks like nothing else
    assume(binary_kind(data) is None)  # text of control characters alone is refused
    file = tmp_path / "text"
    file.write_bytes(gzip.compress(data) if packed else data)
    expected = data.decode().split("\n")
    expected = expected[:-1] if expected[-1] == "" else expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "BLOCK_BYTES", block)
        assert list(read_lines(file)) == expected


def test_odd_characters_stay_in_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "odd"
    file.write_bytes(b"\xef\xbb\xbf" + ODD.encode())
    assert list(read_lines(file)) == ODD.split("\n")


def test_no_bytes_are_no_lines(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "empty.gz").write_bytes(gzip.compress(b""))
    assert list(read_lines(tmp_path / "empty")) == []
    assert list(read_lines(tmp_path / "empty.gz")) == []


def test_memory_is_bounded_by_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "BLOCK_BYTES", 64)
    file = tmp_path / "text"
    file.write_bytes(b"good line\n" * 20 + b"\xff\n")
    found = []
    with pytest.raises(DataError, match="line 21, byte 1"):
        for line in read_lines(file):
            found.append(line)
    assert len(found) >= 12, "lines come before the file has been read through"


def _whole() -> bytes:
    return gzip.compress("\n".join(f"line {number} {number * 7919}" for number in range(3000)).encode())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"good\nb\xe4d\n", r"bad, line 2, byte 2: found the byte 0xE4, which is not valid UTF-8 there"),
        (b"good\ngood\ncut \xc3", r"bad, line 3, byte 5: found the byte 0xC3"),
        ("\ufeffa dog\n".encode("utf-16-le"), r"bad is UTF-16; expected UTF-8. Convert it: `iconv -f UTF-16 -t"),
        ("\ufeffa dog\n".encode("utf-16-be"), r"bad is UTF-16;"),
        ("a dog and a cat\n".encode("utf-16-le"), r"bad is UTF-16LE; .*iconv -f UTF-16LE "),
        ("a dog and a cat\n".encode("utf-16-be"), r"bad is UTF-16BE;"),
        ("a dog\n".encode("utf-32"), r"bad is UTF-32;"),
        ("a dog and a cat\n".encode("utf-32-be"), r"bad is UTF-32BE;"),
        (_whole()[:-5], r"bad, line [\d,]+: the gzip data end in the middle; the file is truncated"),
        (_whole()[:2000] + b"\0\xff\0" + _whole()[2003:], r"bad, line [\d,]+: the gzip data are damaged"),
    ],
    ids=[
        "latin1", "cut", "utf16le", "utf16be", "utf16le-bare", "utf16be-bare", "utf32", "utf32be-bare",
        "truncated", "corrupt",
    ],
)  # fmt: skip
def test_damage_is_named_with_file_and_line(tmp_path: Path, data: bytes, message: str) -> None:
    file = tmp_path / "bad"
    file.write_bytes(data)
    with pytest.raises(DataError, match=message):
        list(read_lines(file))


def test_an_empty_gz_file_is_a_truncated_one(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"a.gz, line 1: the gzip data end in the middle"):
        list(read_lines(tmp_path / "a.gz"))


def test_a_file_without_line_feeds_is_refused_before_it_fills_the_memory(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(lines_module, "BLOCK_BYTES", 1 << 10)
    monkeypatch.setattr(lines_module, "MAX_LINE_BYTES", 1 << 12)
    (tmp_path / "blob").write_bytes(b"first\n" + b"x" * 10_000)
    with pytest.raises(DataError, match="blob, line 2: the line is longer than"):
        list(read_lines(tmp_path / "blob"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*nowhere: No such file or directory"):
        list(read_lines(tmp_path / "nowhere"))
