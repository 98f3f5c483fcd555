"""`translator compare` as a person calls it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Program = Callable[..., tuple[int, str, str]]

LINES = [f"Ein Hund Nummer {number} läuft im Garten ." for number in range(12)]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A reference, two files of translations, and a source."""
    texts = {
        "reference": LINES,
        "first": [line.replace("läuft", "geht") for line in LINES],
        "second": [line.replace("im", "in dem") if "1" in line else line for line in LINES],
        "source": [f"A dog number {number} runs in the garden ." for number in range(12)],
        "short": LINES[:4],
    }
    for name, lines in texts.items():
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    return {name: tmp_path / name for name in texts}


def test_files_are_compared(files: dict[str, Path], call_program: Program) -> None:
    arguments = ["compare", "--reference", files["reference"], files["first"], files["second"]]
    code, output, errors = call_program(*arguments)
    assert code == 0, errors
    lines = [line.split() for line in output.splitlines()]
    assert [line[0] for line in lines if line[1:2] == ["score"]] == ["BLEU", "chrF2", "TER"]
    page = files["first"].with_name("page.html")
    code, output, errors = call_program(*arguments, "--format", "json", "--output", page)
    assert code == 0, errors
    found = json.loads(output)
    assert [system["name"] for system in found["systems"]] == ["first", "second"]
    scores = found["systems"][1]["scores"]
    assert [score["metric"] for score in scores] == ["BLEU", "chrF2", "TER"]
    assert all(0 < score["bootstrap"] <= 1 and 0 < score["randomisation"] <= 1 for score in scores)
    assert f"{scores[0]['value']:.2f}" in lines[2]
    assert sum(group["sentences"] for group in found["by_length"]) == 12
    assert page.read_text().startswith("<!doctype html>") and f"wrote {page}" in errors


def test_runs_translate_the_source(
    files: dict[str, Path], tiny_run: Path, call_program: Program, tmp_path: Path
) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    arguments = ["compare", "--reference", files["reference"], run, files["second"], "--set", "beam_size=1"]
    code, output, errors = call_program(*arguments, "--source", files["source"], "--format", "json")
    assert code == 0, errors
    found = json.loads(output)
    assert [system["name"] for system in found["systems"]] == ["run", "second"]
    _, expected, _ = call_program("translate", run, files["source"], "--set", "beam_size=1")
    given = tmp_path / "given"
    given.write_text(expected)
    code, output, _ = call_program(
        "compare", "--reference", files["reference"], given, files["second"], "--format", "json"
    )
    assert json.loads(output)["systems"][0]["scores"] == found["systems"][0]["scores"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["first"], 2, "expected at least two runs or files to compare"),
        (["first", "RUN"], 2, "runs translate; expected --source FILE"),
        (["first", "short"], 1, "short has 4 lines but the reference has 12; expected the same number"),
        (["first", "first"], 1, "expected different runs or files"),
        (["first", "second", "--output", "page.txt"], 1, "expected a file name that ends in .html"),
        (["first", "second", "--set", "beam_size=2"], 2, "--set is for what is translated here"),
        (["first", "second", "--tokenize", "14a"], 1, "no BLEU tokenizer '14a'"),
    ],
)
def test_mistakes_are_explained(
    files: dict[str, Path], tiny_run: Path, call_program: Program, arguments: list[str], code: int, message: str
) -> None:
    places = {**files, "RUN": tiny_run}
    words = [places.get(word, word) for word in arguments]
    found, output, errors = call_program("compare", "--reference", files["reference"], *words)
    assert (found, output) == (code, "")
    assert message in " ".join(errors.replace("│", " ").split())
