"""Data prepared by several processes of a job: the bytes of one, each with a share, and continued after a kill."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from translator.config import Config, load_config, write_config
from translator.data import encoding, prepare, scanned, shared_work
from translator.data.workers import blocks_of

SCRIPT = Path(__file__).with_name("ranks.py")
NEVER = -1
Pairs = list[tuple[str, str]]
MakePairs = Callable[[int, int], Pairs]
Write = Callable[[str, Pairs], str]
Settings = Callable[..., Config]
Start = Callable[..., list[subprocess.Popen[str]]]


@pytest.fixture
def settings_file(tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs) -> Path:
    """A corpus of 100 pairs, which is seven spans of two blocks of eight, and two small ones."""
    bad = [("", "leer"), ("Tom", "tom"), ("dog " * 40, "Hund"), ("KÃ¶ln", "Köln"), *pairs(3, 6)]
    train = {"one": [*pairs(0, 60), *bad, *pairs(100, 30)], "two": pairs(200, 5), "three": [*pairs(300, 20), *bad]}
    entries = [{"path": corpus(name, text)} for name, text in train.items()]
    # The first corpus is also the last.
    entries.append(entries[0])
    config = settings(
        {"training": {"subword_sampling": 0.1}}, train=entries, valid=corpus("valid", pairs(400, 3)), workers=1,
        drop_identical=True, drop_duplicates=False,
    )  # fmt: skip
    write_config(config, tmp_path / "config.yaml")
    return tmp_path / "config.yaml"


@pytest.fixture
def expected(tmp_path: Path, settings_file: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The files that one process makes."""
    for module in (scanned, encoding):
        monkeypatch.setattr(module, "blocks_of", lambda items: blocks_of(items, 8))
    monkeypatch.setattr(shared_work, "BLOCK_PAIRS", 8)
    monkeypatch.setattr(shared_work, "SPAN_BLOCKS", 2)
    return content(prepare(load_config(settings_file, []), tmp_path / "expected").directory)


def content(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def end(processes: list[subprocess.Popen[str]]) -> tuple[list[int], list[str], list[str]]:
    """Wait for the processes of a job; return their exit codes, and what each wrote to stdout and stderr."""
    outputs, errors = zip(*(process.communicate(timeout=PATIENCE) for process in processes), strict=True)
    return [process.returncode for process in processes], list(outputs), list(errors)


def made_by(directory: Path, rank: int) -> list[str]:
    file = directory / f"made-{rank}"
    return file.read_text().split() if file.exists() else []


@pytest.mark.parametrize("size", [2, 3])
def test_the_bytes_do_not_depend_on_the_number_of_processes(
    tmp_path: Path, settings_file: Path, expected: dict[str, bytes], start_ranks: Start, size: int
) -> None:
    out = tmp_path / "out"
    words = ("data", "prepare", settings_file, f"data.prepared={out}")
    codes, outputs, errors = end(start_ranks(size, SCRIPT, tmp_path, NEVER, *words))
    assert codes == [0] * size, errors
    # One process reports for all, and once.
    assert outputs == [f"{out}\n", *[""] * (size - 1)]
    assert errors[1:] == [""] * (size - 1)
    assert errors[0].count("training pairs: 235 read, ") == errors[0].count("repetition of an earlier pair") == 1
    made = [made_by(tmp_path, rank) for rank in range(size)]
    # Seven, one and two spans of each kind; the main process also joins those of three corpora, twice.
    assert sum(map(len, made)) == 2 * (7 + 1 + 2) + 6
    assert len(set().union(*made)) == sum(map(len, made))
    assert min(map(len, made)) >= 2 * (10 // size - 1)
    assert {"train-1.arrow", "train-4.scan", "valid.arrow", "manifest.json"} <= set(expected)
    assert content(out) == expected


def test_a_killed_process_ends_the_job_which_continues(
    tmp_path: Path, settings_file: Path, expected: dict[str, bytes], start_ranks: Start
) -> None:
    out = tmp_path / "out"
    words = ("data", "prepare", settings_file, f"data.prepared={out}")
    # It has made its five spans of the first kind, and two others.
    codes, outputs, errors = end(start_ranks(2, SCRIPT, tmp_path, 7, *words))
    assert codes == [1, -9] and outputs == ["", ""]
    assert errors[0].count("error: ") == 1
    assert "error: the process of rank 1 was killed, perhaps for lack of memory; the same command con" in errors[0]
    assert not out.exists() and len(made_by(tmp_path, 1)) == 7
    # By another number of processes, and what was finished is not made again.
    codes, _, errors = end(start_ranks(3, SCRIPT, tmp_path, NEVER, *words))
    assert codes == [0, 0, 0], errors
    made = [key for rank in (0, 1, 2) for key in made_by(tmp_path, rank)]
    assert len(set(made)) == len(made) > 20
    assert content(out) == expected
    assert not list(tmp_path.glob(".out*"))
