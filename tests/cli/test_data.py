"""`translator data` as a person calls it."""

import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[bytes]]
Program = Callable[..., tuple[int, str, str]]

SMALL = "tokenizer.vocab_size=320"
TRAIN = ["data.train=train.{en,de}"]


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> Path:
    """The directory that the commands run in, with train and valid in English and German."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath))
    for name, start, count in (("train", 0, 60), ("valid", 90, 5)):
        numbers = range(start, start + count)
        (tmp_path / f"{name}.en").write_text("".join(f"the dog sees house {number}.\n" for number in numbers))
        (tmp_path / f"{name}.de").write_text("".join(f"der Hund sieht Haus {number}.\n" for number in numbers))
    return tmp_path


def test_prepare_report_and_prepare_again(text: Path, run_command: Command) -> None:
    (text / "my.yaml").write_text("data:\n  train: train.{en,de}\n  valid: valid.{en,de}\n")
    arguments = ["my.yaml", SMALL, "data.max_length=50"]
    first = run_command("data", "prepare", *arguments)
    assert (first.returncode, first.stdout) == (0, b"runs/my/prepared\n"), first.stderr.decode()
    assert b"preset tiny: suits about 536 tokens of source and target" in first.stderr
    before = {file.name: file.stat().st_mtime_ns for file in (text / "runs/my/prepared").iterdir()}
    again = run_command("data", "prepare", *arguments)
    assert (again.returncode, again.stdout) == (0, first.stdout)
    up_to_date, preset = again.stderr.decode().splitlines()
    assert up_to_date == "prepared data in runs/my/prepared are up to date"
    assert preset in first.stderr.decode() and preset.startswith("preset tiny: ")
    assert {file.name: file.stat().st_mtime_ns for file in (text / "runs/my/prepared").iterdir()} == before
    reports = [run_command("data", "report", *words) for words in (arguments, ["runs/my/prepared"])]
    assert [found.returncode for found in reports] == [0, 0]
    assert reports[0].stdout == reports[1].stdout
    assert b"training pairs: 60 read, 60 kept" in reports[0].stdout
    assert b"preset that suits the text: tiny" in reports[0].stdout


@pytest.mark.parametrize(
    ("words", "directory"),
    [
        (["data.prepared=shared"], "shared"),
        (["run=here"], "here/prepared"),
        (["data.source_language=de", "data.target_language=en"], "runs/de-en/prepared"),
        ([], "runs/en-de/prepared"),
    ],
)
def test_where_prepared_data_go(text: Path, call_program: Program, words: list[str], directory: str) -> None:
    code, output, _ = call_program("data", "prepare", "data.train=train.{en,de}", SMALL, *words)
    assert (code, output) == (0, directory + "\n")
    assert (text / directory / "manifest.json").is_file()


def test_a_pattern_that_the_shell_has_expanded(text: Path, call_program: Program) -> None:
    words = ["data.train=train.en", "data.train=train.de", "run=r", SMALL]
    assert call_program("data", "prepare", *words)[:2] == (0, "r/prepared\n")


def test_the_report_as_json(text: Path, call_program: Program) -> None:
    call_program("data", "prepare", "data.train=train.{en,de}", "run=r", SMALL)
    code, output, _ = call_program("data", "report", "r/prepared", "--json")
    figures = json.loads(output)
    assert (code, figures["held_out"], figures["sets"]["train"]["pairs"]) == (0, 6, 54)


def test_what_filters_keep_is_written(text: Path, call_program: Program) -> None:
    words = ["data", "filter", "data.train=train.{en,de}", "data.max_characters=22", "--output", "clean", "--dropped"]
    code, output, errors = call_program(*words)
    assert (code, output) == (0, "clean\n"), errors
    assert (text / "clean" / "train.de").read_text().splitlines()[9:] == ["der Hund sieht Haus 9."]
    assert len((text / "clean" / "train.en").read_text().splitlines()) == 10
    rows = [json.loads(line) for line in (text / "clean" / "dropped.jsonl").read_text().splitlines()]
    assert len(rows) == 50 and rows[0]["reason"] == "characters" and rows[0]["source"] == "the dog sees house 10."
    code, _, errors = call_program(*words)
    assert code == 1 and "clean holds what we did not write" in errors


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["prepare"], 1, "error: data.train is not set; name a training corpus"),
        (["prepare", "data.train=no.{en,de}"], 1, "error: there is no file no.en; expected a pattern"),
        (["prepare", "data.train=train.en"], 1, "error: cannot tell what kind of corpus train.en"),
        (["prepare", "data.train=short.{en,de}"], 1, "corpus short.en has 2 lines but short.de has 3"),
        (["prepare", "data.train=bad.{en,de}"], 1, "error: bad.de, line 2, byte 1: found the byte 0xFF"),
        (["prepare", "data.train=wide.{en,de}"], 1, "error: wide.en is UTF-16; expected UTF-8"),
        (["prepare", "data.train=cut.{en,de}.gz"], 1, "cut.en.gz, line 31: the gzip data end in the middle"),
        (["prepare", "data.train=a.jsonl"], 1, "error: a.jsonl, line 1: cannot tell source from target"),
        (["prepare", "data.train=empty.{en,de}"], 1, "error: the train corpus empty.en and"),
        (["prepare", *TRAIN, "data.prepared=mine"], 1, "mine holds files but no manifest"),
        (["prepare", *TRAIN, "data.prepared=a.jsonl"], 1, "a.jsonl is a file; expected a"),
        (["prepare", "data.tran=x"], 1, "data.tran: there is no such setting; did you mean data.train?"),
        (["prepare", "my.yaml", "word"], 2, "'word': expected KEY=VALUE"),
        (["prepare", "nowhere.yaml"], 1, "cannot read nowhere.yaml"),
        (["report", "mine"], 1, "mine is neither a run (it has no config.yaml) nor prepared data"),
        (["report", "run=nowhere"], 1, "nowhere/prepared is not prepared data: it has no manifest.json;"),
        (["report", "mine", "seed=1"], 2, "settings cannot be replaced in data that is already prepared"),
    ],
)  # fmt: skip
def test_mistakes_are_explained(text: Path, call_program: Program, words: list[str], code: int, message: str) -> None:
    for name, sides in {
        "short": (b"a\nb\n", b"a\nb\nc\n"),
        "bad": (b"a\nb\n", b"a\n\xff\n"),
        "wide": ("\ufeffa\n".encode("utf-16-le"), b"a\n"),
        "empty": (b"", b""),
    }.items():
        for language, data in zip(("en", "de"), sides, strict=True):
            (text / f"{name}.{language}").write_bytes(data)
    for language in ("en", "de"):
        (text / f"cut.{language}.gz").write_bytes(gzip.compress(b"x\n" * 30)[:-9])
    (text / "a.jsonl").write_text('{"a": "x", "b": "y", "c": "z"}\n')
    (text / "mine").mkdir()
    (text / "mine" / "thesis.txt").write_text("years of work")
    found, output, errors = call_program("data", *words)
    assert (found, output) == (code, "")
    assert message in " ".join(errors.split())
    assert "Traceback" not in errors
    assert sorted(file.name for file in text.rglob("*.arrow")) == []
    assert (text / "mine" / "thesis.txt").exists()
