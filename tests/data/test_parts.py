"""Parts of prepared data: one for each corpus, kept when others change and when a preparation is killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE
from translator.config import Config, write_config
from translator.data import PreparedData, prepare, scanned
from translator.data.encoding import Encoding
from translator.data.parts import Parts, key_of
from translator.data.scanned import Scanning
from translator.errors import DataError
from translator.text import Corpus

Pairs = list[tuple[str, str]]
MakePairs = Callable[[int, int], Pairs]
Write = Callable[[str, Pairs], str]
Settings = Callable[..., Config]
Read = list[tuple[str, str]]


@pytest.fixture
def model(tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs) -> str:
    """A tokenizer that is given, so that it stays the same when a corpus is added."""
    prepared = prepare(settings(train=corpus("first", pairs(0, 60)), held_out=5), tmp_path / "vocabulary")
    return str(prepared.directory / "tokenizer.model")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """The corpora that are scanned and encoded, in order."""
    found: Read = []

    def watch(owner: Any, name: str, kind: str) -> None:
        original = getattr(owner, name)

        def watched(*arguments: Any) -> Any:
            (corpus,) = (argument for argument in arguments if isinstance(argument, Corpus))
            found.append((kind, Path(corpus.files[0]).stem))
            return original(*arguments)

        monkeypatch.setattr(owner, name, watched)

    watch(Scanning, "blocks", "scan")
    watch(scanned, "_scan_references", "scan")
    watch(Encoding, "blocks", "encode")
    return found


def texts(prepared: PreparedData) -> Pairs:
    source, target = prepared.tokenizers.source, prepared.tokenizers.target
    rows = range(len(prepared.train))
    return [
        (source.decode(prepared.train.source(row).tolist()), target.decode(prepared.train.target(row).tolist()))
        for row in rows
    ]


def content(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def test_adding_a_corpus_prepares_that_one_alone(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs, model: str, read: Read
) -> None:
    one, three = pairs(0, 30), [*pairs(200, 10), pairs(0, 1)[0]]
    two = [*pairs(100, 20), ("the cat sees 12 of us", "wir sind 21"), ("", "leer")]
    paths = [corpus("one", one), corpus("two", two), corpus("three", three)]
    valid = corpus("valid", pairs(90, 4))

    def config(count: int, weight: float | None = None, **data: Any) -> Config:
        entries = [{"path": path, "weight": weight} for path in paths[:count]]
        return settings({"tokenizer": {"model": model}}, train=entries, valid=valid, **data)

    prepare(config(2), tmp_path / "out")
    assert read == [("scan", "one"), ("scan", "two"), ("scan", "valid"), ("encode", "one"), ("encode", "two")]
    read.clear()
    prepared = prepare(config(3), tmp_path / "out")
    assert read == [("scan", "three"), ("scan", "valid"), ("encode", "three")]
    assert texts(prepared) == one + two[:-1] + three[:-1]
    counts = prepared.manifest["counts"]
    assert (counts["dropped"]["blank"], counts["dropped"]["duplicate"], counts["train"]) == (1, 1, 61)
    assert [rows[0]["pair"] for rows in counts["examples"].values()] == [22, 11]
    # It is what a preparation from nothing makes.
    assert content(prepare(config(3), tmp_path / "new").directory) == content(tmp_path / "out")
    read.clear()
    # Weights are no matter of preparation, and a filter that drops nothing of a corpus has it encoded no other way.
    assert prepare(config(3, 2.0), tmp_path / "out").mixture is not None
    assert read == []
    prepared = prepare(config(3, drop_different_numbers=True), tmp_path / "out")
    assert [name for kind, name in read if kind == "encode"] == ["two"]
    assert texts(prepared) == one + two[:-2] + three[:-1]
    assert not list(tmp_path.glob(".*"))


def test_a_damaged_part_is_made_again(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs, model: str, read: Read
) -> None:
    entries = [{"path": corpus("one", pairs(0, 30))}, {"path": corpus("two", pairs(100, 20))}]
    config = settings({"tokenizer": {"model": model}}, train=entries, valid=corpus("valid", pairs(90, 4)))
    expected = content(prepare(config, tmp_path / "out").directory)
    file = tmp_path / "out" / "train-2.arrow"
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    file.write_bytes(damaged)
    read.clear()
    prepare(config, tmp_path / "out")
    assert read == [("scan", "valid"), ("encode", "two")]
    assert content(tmp_path / "out") == expected


def test_a_killed_preparation_continues_with_the_next_corpus(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs, read: Read
) -> None:
    entries = [{"path": corpus(name, pairs(start, 30))} for name, start in (("one", 0), ("two", 100), ("three", 200))]
    config = settings(train=entries, valid=corpus("valid", pairs(300, 4)), workers=1)
    write_config(config, tmp_path / "config.yaml")
    # The process kills itself as soon as a number of parts is finished.
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from translator.config import load_config\n"
        "from translator.data import parts, prepare\n"
        "make, left = parts.Parts.make, [int(sys.argv[1])]\n"
        "def made(*arguments):\n"
        "    if not left[0]:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    left[0] -= 1\n"
        "    make(*arguments)\n"
        "parts.Parts.make = made\n"
        f"prepare(load_config(Path({str(tmp_path / 'config.yaml')!r}), []), {str(tmp_path / 'out')!r})\n"
    )
    # Each corpus is scanned, and the three results become parts; then it is encoded, and so on. The first process makes
    # two of them, and the second the rest of the first six and two others.
    for finished in (2, 6):
        done = subprocess.run([sys.executable, "-c", script, str(finished)], capture_output=True, timeout=PATIENCE)
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        assert not (tmp_path / "out").exists()
    prepare(config, tmp_path / "out")
    assert read == [("scan", "valid"), ("encode", "three")]
    assert content(prepare(config, tmp_path / "new").directory) == content(tmp_path / "out")
    assert not list(tmp_path.glob(".out*"))


def test_parts_that_wait_are_trusted_only_if_they_are_whole(tmp_path: Path) -> None:
    def write(path: Path) -> dict[str, Any]:
        path.write_bytes(b"12345")
        return {"pairs": 5}

    key = key_of("test", 1)
    parts = Parts(tmp_path / "out")
    assert parts.find(key) is None
    parts.make(key, write)
    assert parts.place(key, tmp_path / "a") == {"pairs": 5} == Parts(tmp_path / "out").place(key, tmp_path / "b")
    assert parts.placed == {"a": {"key": key, "figures": {"pairs": 5}}}
    waiting = tmp_path / ".out.parts"
    assert os.stat(tmp_path / "b").st_nlink == 3
    assert json.loads((waiting / f"{key}.json").read_text())["bytes"] == 5
    for number, damage in enumerate((b"1234", b"12346", None)):
        if damage is None:
            (waiting / f"{key}.json").write_text("{")
        else:
            (waiting / key).unlink()
            (waiting / key).write_bytes(damage)
        other = Parts(tmp_path / "out")
        assert other.find(key) is None
        with pytest.raises(DataError, match="all of them must see the same directory"):
            other.place(key, tmp_path / f"c{number}")
        other.make(key, write)
        other.place(key, tmp_path / f"c{number}")
        assert (tmp_path / f"c{number}").read_bytes() == b"12345"
    parts.note(key, {"spans": 3})
    assert (Parts(tmp_path / "out").noted(key), parts.noted("other")) == ({"spans": 3}, None)
    parts.remove(key)
    assert parts.find(key) is None and Parts(tmp_path / "out").find(key) is None
    parts.remove_waiting()
    assert not waiting.exists() and (tmp_path / "b").read_bytes() == b"12345"
    assert key != key_of("test", "1") != key_of("test1")
