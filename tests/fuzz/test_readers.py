"""Damaged files of every format through the readers of corpora and of input."""

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import pyarrow
import pytest
from pyarrow import parquet

from tests.fuzz.conftest import Attempts, mutated, watched
from translator.errors import DataError, TranslatorError
from translator.text import InputLines, count_lines, open_corpus, open_input

PAIRS = [(f"A dog number {i} runs, ü 🙂.", f'Ein "Hund" {i} läuft,\tüber {i * i}.') for i in range(60)]


def text(side: int) -> bytes:
    return "".join(f"{pair[side]}\n" for pair in PAIRS).encode()


def tsv() -> bytes:
    return "".join(f"{source}\t{target.replace(chr(9), ' ')}\n" for source, target in PAIRS).encode()


def table(delimiter: str = ",") -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, lineterminator="\n").writerows([("source", "target"), *PAIRS])
    return buffer.getvalue().encode()


def records() -> bytes:
    rows = [{"translation": {"en": source, "de": target}} for source, target in PAIRS]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def columns() -> bytes:
    buffer = io.BytesIO()
    sides = list(zip(*PAIRS, strict=True))
    parquet.write_table(pyarrow.table({"source": sides[0], "target": sides[1]}), buffer)
    return buffer.getvalue()


def tmx() -> bytes:
    unit = '<tu><tuv xml:lang="en"><seg>{}</seg></tuv><tuv xml:lang="de"><seg>{}</seg></tuv></tu>'
    units = "".join(unit.format(escape(source), escape(target)) for source, target in PAIRS)
    return f'<?xml version="1.0"?>\n<tmx><header srclang="en"/><body>\n{units}</body></tmx>'.encode()


def xliff() -> bytes:
    units = "".join(
        f"<trans-unit><source>{escape(source)}</source><target>{escape(target)}</target></trans-unit>\n"
        for source, target in PAIRS
    )
    head = '<xliff version="1.2"><file source-language="en" target-language="de"><body>'
    return f"{head}{units}</body></file></xliff>".encode()


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.en", text(0))
        made.writestr("a.de", text(1))
    return buffer.getvalue()


FORMATS: dict[str, Callable[[], bytes]] = {
    "a.tsv": tsv,
    "a.csv": table,
    "a.jsonl": records,
    "a.parquet": columns,
    "a.tsv.gz": lambda: gzip.compress(tsv()),
    "a.csv.gz": lambda: gzip.compress(table()),
    "a.jsonl.gz": lambda: gzip.compress(records()),
    "a.tsv.bz2": lambda: bz2.compress(tsv()),
    "a.tsv.xz": lambda: lzma.compress(tsv()),
    "a.tsv.zst": lambda: pyarrow.Codec("zstd").compress(tsv(), asbytes=True),
    "a.tmx": tmx,
    "a.xlf": xliff,
    "a.zip": archive,
}


def read_corpus(spec: str, *languages: str) -> int:
    """Read all pairs; return how many, -1 after a sentence about what is wrong."""
    try:
        corpus = open_corpus(spec, *languages)
        count = 0
        for source, target in corpus.pairs():
            count += 1
            assert "\n" not in source + target
            (source + target).encode("utf-8")
        corpus.fingerprint()
        return count
    except TranslatorError as error:
        assert str(error)
        return -1


@pytest.mark.parametrize("name", FORMATS)
def test_whatever_is_in_a_table(attempts: Attempts, tmp_path: Path, name: str) -> None:
    whole = FORMATS[name]()
    file = tmp_path / name
    file.write_bytes(whole)
    assert read_corpus(str(file)) == len(PAIRS)
    for number, random in attempts(900, 250):
        file.write_bytes(mutated(whole, random))
        with watched(number):
            read_corpus(str(file))


@pytest.mark.parametrize("packed", [False, True])
def test_whatever_is_in_two_files(attempts: Attempts, tmp_path: Path, packed: bool) -> None:
    whole = [gzip.compress(text(side)) if packed else text(side) for side in (0, 1)]
    files = [tmp_path / name for name in ("a.en", "a.de")]
    for number, random in attempts(900, 250):
        side = random.randrange(2)
        files[side].write_bytes(mutated(whole[side], random))
        files[1 - side].write_bytes(whole[1 - side])
        with watched(number):
            count = read_corpus(f"{tmp_path}/a.{{en,de}}")
        # Nothing is left out: a pair for every line, or none.
        assert count in (-1, len(PAIRS)) or count == lines_in(files[side]), f"input {number}"


@pytest.mark.parametrize("packed", [False, True])
def test_whatever_is_in_an_input(
    attempts: Attempts, tmp_path: Path, capsys: pytest.CaptureFixture[str], packed: bool
) -> None:
    whole = gzip.compress(text(0) + text(1)) if packed else text(0) + text(1)
    file = tmp_path / "input"
    for number, random in attempts(900, 250):
        data = mutated(whole, random)
        file.write_bytes(data)
        with watched(number):
            counted = count_lines(file)
            try:
                with open_input(file) as stream:
                    lines = list(InputLines([("input", stream)]))
            except DataError as error:
                assert "input" in str(error)
                lines = None
        if lines is not None:
            assert len(lines) == lines_in(file) == counted, f"input {number}"
            assert not any("\n" in line for line in lines), f"input {number}"
    capsys.readouterr()


def lines_in(file: Path) -> int:
    """Count lines in another way than the program does; -1 where the file is damaged."""
    data = file.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            return -1
    return len(data.split(b"\n")) - data.endswith(b"\n") if data else 0
