"""Lines that the tokenizer alters are counted and shown; data are made again if the table of rules has changed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    symbols = ["", " m²", " ½", "™"]
    lines = {side: [f"{number} {side}{symbols[number % 4]}" for number in range(40)] for side in ("en", "de")}
    for side, own in lines.items():
        (tmp_path / f"train.{side}").write_text("\n".join(own) + "\n")
        (tmp_path / f"valid.{side}").write_text(f"a {side}\nb {side} ½\n")
    return [
        f"data.train={tmp_path}/train.{{en,de}}", f"data.valid={tmp_path}/valid.{{en,de}}", f"run={tmp_path}/run",
        "tokenizer.vocab_size=320",
    ]  # fmt: skip


def test_altered_lines_are_counted_with_examples(words: list[str], call_program: Call, tmp_path: Path) -> None:
    code, _, errors = call_program("data", "prepare", *words, "tokenizer.source_normalization=nfkc")
    assert code == 0 and "the tokenizer alters 30 of 40 lines of the source" in errors, errors
    assert "of the target" not in errors and "'1 en m²' to '1 en m2'" in errors
    figures = json.loads(call_program("data", "report", tmp_path / "run" / "prepared", "--json")[1])
    assert (figures["altered"]["source"]["lines"], figures["altered"]["target"]["lines"]) == (30, 0)
    code, text, _ = call_program("data", "report", tmp_path / "run" / "prepared")
    assert "30 training lines of the source (75.00 %)" in text and "'2 en ½' comes back as '2 en 1⁄2'" in text


def test_by_default_nothing_is_altered(words: list[str], call_program: Call, tmp_path: Path) -> None:
    code, _, errors = call_program("data", "prepare", *words)
    assert code == 0 and "alters" not in errors
    assert "come back" not in call_program("data", "report", tmp_path / "run" / "prepared")[1]


def test_changed_table_makes_the_data_again(words: list[str], call_program: Call, tmp_path: Path) -> None:
    table = tmp_path / "rules.tsv"
    table.write_text("2122\t\n")
    words += ["tokenizer.normalization=table", f"tokenizer.normalization_table={table}"]
    code, _, errors = call_program("data", "prepare", *words)
    assert code == 0 and "alters 10 of 40 lines of the target" in errors and "model can therefore not write" in errors
    assert "up to date" in call_program("data", "prepare", *words)[2]
    table.write_text("2122\t\nBD\t\n")
    errors = call_program("data", "prepare", *words)[2]
    assert "have changed; preparing again" in errors and "alters 20 of 40 lines of the target" in errors
    table.unlink()
    code, _, errors = call_program("data", "prepare", *words)
    assert code == 1 and "there is no file" in errors
