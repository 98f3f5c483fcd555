"""Compressed corpora and input: recognised by content, read to the end, damage named at its line."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest

from translator.errors import DataError
from translator.text import InputLines, compression, count_lines, decode_lines, open_corpus, open_input, read_lines
from translator.text.compression import DamagedStream, compression_of, decompressed, may_be_compressed


def zstd(data: bytes) -> bytes:
    buffer = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(buffer, "zstd") as stream:
        stream.write(data)
    return buffer.getvalue().to_pybytes()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd,
}
LINES = [f"line {number} is {number * 7919 % 10007}" for number in range(30_000)]
TEXT = ("\n".join(LINES) + "\n").encode()
every_kind = pytest.mark.parametrize("ending", PACKERS)


@every_kind
def test_lines_are_those_of_the_plain_file(tmp_path: Path, ending: str) -> None:
    pack = PACKERS[ending]
    # Two members one after the other, as `cat a.gz b.gz` makes them.
    (tmp_path / "text").write_bytes(pack(TEXT) + pack(b"last"))
    assert list(read_lines(tmp_path / "text")) == [*LINES, "last"]
    with open_input(tmp_path / "text") as stream:
        assert list(decode_lines(stream, "text")) == [*LINES, "last"]
    assert count_lines(tmp_path / "text") == len(LINES) + 1


@every_kind
def test_corpora_have_the_languages_of_their_names(tmp_path: Path, ending: str) -> None:
    for language in ("en", "de"):
        (tmp_path / f"a.{language}{ending}").write_bytes(PACKERS[ending](f"{language}\n".encode()))
    (tmp_path / f"a.tsv{ending}").write_bytes(PACKERS[ending](b"a dog\tein Hund\n"))
    listed = open_corpus([f"{tmp_path}/a.en{ending}", f"{tmp_path}/a.de{ending}"])
    assert (list(listed.pairs()), listed.languages) == ([("en", "de")], ("en", "de"))
    assert list(open_corpus(f"{tmp_path}/a.tsv{ending}").pairs()) == [("a dog", "ein Hund")]


@every_kind
def test_a_truncated_file_is_named_at_its_last_line(tmp_path: Path, ending: str) -> None:
    packed = PACKERS[ending](TEXT)
    packed = packed[: len(packed) * 3 // 5]
    (tmp_path / "cut").write_bytes(packed)
    corpus, given = [], []
    with pytest.raises(DataError, match=r"cut, line ([\d,]+): the \w+ data .*(truncated|damaged)") as caught:
        corpus.extend(read_lines(tmp_path / "cut"))
    line = int(str(caught.value).split("line ")[1].split(":")[0].replace(",", ""))
    with pytest.raises(DataError) as again, open_input(tmp_path / "cut") as stream:
        for text in decode_lines(stream, str(tmp_path / "cut")):
            given.append(text)
    # bzip2 gives nothing of a block that is not whole.
    assert given == LINES[: len(given)] and (len(given) > 10_000 or ending == ".bz2")
    assert abs(line - (len(given) + 1)) <= 100, "both readers find it in the same place"
    assert "Copy or download it again" in str(caught.value) and "Copy or download it again" in str(again.value)


@every_kind
def test_what_follows_compressed_data_is_not_left_out(tmp_path: Path, ending: str) -> None:
    (tmp_path / "a").write_bytes(PACKERS[ending](b"one\n") + b"this is not compressed\n")
    with pytest.raises(DataError, match=r"a, line \d: the \w+ data are damaged"):
        list(read_lines(tmp_path / "a"))


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz"])
def test_zeros_may_follow_compressed_data(tmp_path: Path, ending: str) -> None:
    (tmp_path / "a").write_bytes(PACKERS[ending](b"one\n") + b"\0" * 100_000 + PACKERS[ending](b"two\n") + b"\0" * 512)
    assert list(read_lines(tmp_path / "a")) == ["one", "two"]


@every_kind
def test_data_that_expand_beyond_reason_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(compression, "_SPARED_BYTES", 1 << 20)
    monkeypatch.setattr(compression, "MAX_EXPANSION", 200)
    (tmp_path / "bomb").write_bytes(PACKERS[ending](b"\n" * (4 << 20)))
    with pytest.raises(DataError, match=r"bomb, line [\d,]+: the \w+ data unpack to more than 200 times their size"):
        list(read_lines(tmp_path / "bomb"))
    with open_input(tmp_path / "bomb") as stream, pytest.raises(DataError, match="bomb, after line .* 200 times"):
        list(decode_lines(stream, "bomb"))


@every_kind
def test_compressed_stdin_is_recognised_however_slowly_it_comes(monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    reading, writing = os.pipe()
    packed = PACKERS[ending](b"one\ntwo\n")

    def write() -> None:
        for index in range(len(packed)):
            os.write(writing, packed[index : index + 1])
        os.close(writing)

    thread = threading.Thread(target=write)
    with os.fdopen(reading, "rb") as raw, io.TextIOWrapper(raw) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        thread.start()
        assert list(InputLines([("stdin", stdin.buffer)])) == ["one", "two"]
    thread.join()


def test_stdin_that_is_a_compressed_file_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(b"one\ntwo\n"))
    program = (
        "import sys; from translator.text import InputLines;"
        "print(list(InputLines([('stdin', sys.stdin.buffer)])))"
    )  # fmt: skip
    with (tmp_path / "a").open("rb") as stdin:
        out = subprocess.run([sys.executable, "-c", program], stdin=stdin, capture_output=True, text=True, check=True)
    assert out.stdout == "['one', 'two']\n"


def test_plain_text_is_not_taken_for_compressed_data() -> None:
    assert compression_of(b"BZh9 is how bzip2 begins") is None
    assert compression_of(b"BZh91AY&SY rest") == "bzip2"
    assert may_be_compressed(b"B") and may_be_compressed(b"\x1f") and not may_be_compressed(b"B\n")
    text = io.BufferedReader(io.BytesIO(b"plain"))  # type: ignore[type-var]
    assert decompressed(text) is text


def test_damage_is_found_after_all_that_precedes_it() -> None:
    stream = decompressed(io.BufferedReader(io.BytesIO(gzip.compress(TEXT)[:-4])))  # type: ignore[type-var]
    found = b""
    with pytest.raises(DamagedStream, match="the gzip data end in the middle"):
        while block := stream.read1(1 << 20):  # type: ignore[attr-defined]
            found += block
    assert found == TEXT
