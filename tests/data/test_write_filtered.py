"""Text that cleaning keeps, written for other tools."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from translator.config import Config
from translator.data import prepare, write_filtered
from translator.errors import DataError, OutputError
from translator.text import open_corpus

Pairs = list[tuple[str, str]]
MakePairs = Callable[[int, int], Pairs]
Write = Callable[[str, Pairs], str]
Settings = Callable[..., Config]


def test_kept_and_dropped_pairs_are_written(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs, capsys: pytest.CaptureFixture[str]
) -> None:
    good, valid = pairs(0, 30), pairs(100, 3)
    bad = {"blank": ("", "leer"), "leak": (valid[1][0], "so"), "duplicate": good[2], "identical": ("Tom", "tom")}
    train = corpus("train", [*good, *bad.values()])
    config = settings(train=train, valid=corpus("valid", valid), drop_identical=True)
    assert write_filtered(config.data, tmp_path / "out", with_dropped=True) == 30
    assert list(open_corpus(f"{tmp_path}/out/train.{{en,de}}").pairs()) == good
    rows = [json.loads(line) for line in (tmp_path / "out" / "dropped.jsonl").read_text().splitlines()]
    assert [(row["reason"], (row["source"], row["target"])) for row in rows] == list(bad.items())
    assert [row["pair"] for row in rows] == [31, 32, 33, 34]
    assert "training pairs: 34 read, 30 kept\n" in (said := capsys.readouterr().err)
    assert "longer than data.max_length" not in said
    # What is written is what would be trained on.
    prepared = prepare(config, tmp_path / "prepared")
    assert len(prepared.train) == 30


def test_several_corpora_are_written_apart_and_nothing_is_held_out(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    (tmp_path / "two.tsv").write_bytes("".join(f"{a}\t{b}\r\n" for a, b in [*pairs(50, 5), *pairs(0, 2)]).encode())
    config = settings(train=[{"path": corpus("one", pairs(0, 20))}, {"path": f"{tmp_path}/two.tsv"}])
    assert write_filtered(config.data, tmp_path / "out") == 25
    names = ["train-1.de", "train-1.en", "train-2.source", "train-2.target"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == names
    second = [str(tmp_path / "out" / name) for name in names[2:]]
    assert list(open_corpus(second).pairs()) == pairs(50, 5)


def test_nothing_is_replaced_and_nothing_empty_written(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    config = settings(train=corpus("train", pairs(0, 3)), max_characters=3)
    with pytest.raises(DataError, match="none of 3 training pairs is left"):
        write_filtered(config.data, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(OutputError, match="holds what we did not write"):
        write_filtered(config.data, tmp_path / "out")
