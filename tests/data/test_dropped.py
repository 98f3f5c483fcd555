"""The table of what was dropped, and examples of it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from translator.config import Config
from translator.data import describe_report, load_prepared, prepare, report
from translator.errors import DataError

Pairs = list[tuple[str, str]]
MakePairs = Callable[[int, int], Pairs]
Write = Callable[[str, Pairs], str]
Settings = Callable[..., Config]


def test_the_table_is_printed_with_the_preparation_and_examples_with_the_report(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs, capsys: pytest.CaptureFixture[str]
) -> None:
    good, valid = pairs(0, 60), pairs(100, 3)
    bad = [("", "leer"), ("empty", " "), valid[0], good[0], ("", "b"), ("", "c"), ("dog " * 40, "Hund")]
    config = settings(train=corpus("train", good + bad), valid=corpus("valid", valid))
    prepared = prepare(config, tmp_path / "out")
    table = """
training pairs: 67 read, 60 kept
             4    5.97 %  blank source or target
             1    1.49 %  source or target is in valid or test
             0    0.00 %  decoded with the wrong encoding
             1    1.49 %  repetition of an earlier pair
             0    0.00 %  longer than data.max_length pieces
             1    1.49 %  ratio of lengths above data.max_length_ratio
"""
    assert table in capsys.readouterr().err
    figures = report(load_prepared(prepared.directory))
    name = f"{tmp_path}/train.en and train.de"
    assert [(row["corpus"], row["pair"], row["target"]) for row in figures["examples"]["blank"]] == [
        (name, 61, "leer"), (name, 62, " "), (name, 65, "b"),
    ]  # fmt: skip
    assert {reason: rows[0]["pair"] for reason, rows in figures["examples"].items()} == {
        "blank": 61, "leak": 63, "duplicate": 64, "length_ratio": 67,
    }  # fmt: skip
    text = describe_report(figures)
    assert table in f"\n{text}"
    assert f"dropped, repetition of an earlier pair, for example\n  {name}, pair 64\n    source: {good[0][0]}" in text
    assert re.search(r"pair 61\n    source: \(blank\)\n    target: leer\n", text)
    assert re.search(r"source: dog dog .*\.\.\.\n    target: Hund\n", text)


def test_what_readers_skip_is_in_the_table(
    tmp_path: Path, settings: Settings, pairs: MakePairs, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.tsv").write_text("\n\n".join("\t".join(pair) for pair in pairs(0, 60)) + "\n\n")
    prepared = prepare(settings(train=f"{tmp_path}/a.tsv", held_out=6), tmp_path / "out")
    printed, page = capsys.readouterr().err, describe_report(report(prepared))
    for text in (printed, page):
        assert "training pairs: 60 read, of which 6 held out for validation, 54 kept\n" in text
        assert "            60            skipped: blank line of a table\n" in text


def test_a_validation_set_of_blanks_is_refused(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs, capsys: pytest.CaptureFixture[str]
) -> None:
    train = corpus("train", pairs(0, 50))
    blanks = [("", "x"), ("y", " "), ("", "")]
    with pytest.raises(DataError, match=r"the valid corpus .*valid.en and valid.de: all of 3 pairs have a blank"):
        prepare(settings(train=train, valid=corpus("valid", blanks)), tmp_path / "out")
    with pytest.raises(DataError, match="the pairs held out for validation: all of 3 pairs have a blank source"):
        prepare(settings(train=corpus("mine", pairs(0, 50) + blanks), held_out=3), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    prepare(settings(train=train, valid=corpus("valid", [*blanks, ("a", "b")])), tmp_path / "out")
    assert "warning: the valid corpus " in (said := capsys.readouterr().err)
    assert "3 of 4 pairs have a blank source or target" in said
