"""`translator evaluate` as a person calls it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[bytes]]
Program = Callable[..., tuple[int, str, str]]

SOURCE = "A dog runs in the garden.\nThe man reads.\nthe cat sleeps on the street.\n"
REFERENCE = "Ein Hund läuft im Garten.\nDer Mann liest.\nDie Katze schläft auf der Straße.\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A source file and its reference."""
    source, reference = tmp_path / "test.en", tmp_path / "test.de"
    source.write_text(SOURCE)
    reference.write_text(REFERENCE)
    return source, reference


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A run directory to write into."""
    return shutil.copytree(tiny_run, tmp_path / "run")


def test_scores_are_printed_and_kept(
    run: Path, files: tuple[Path, Path], run_command: Command, call_program: Program
) -> None:
    source, reference = files
    arguments = ["evaluate", run, "--source", source, "--reference", reference]
    finished = run_command(*arguments, "--set", "beam_size=3")
    assert finished.returncode == 0, finished.stderr.decode()
    lines = finished.stdout.decode().splitlines()
    assert [line.split(" = ")[0] for line in lines] == ["BLEU", "chrF2", "chrF2++", "TER"]
    assert all("|version:" in line for line in lines)

    (entry,) = json.loads((run / "scores.json").read_text())
    assert [f"{item['name']} = {item['value']:.2f}  {item['signature']}" for item in entry["scores"]] == lines
    assert (entry["weights"], entry["step"], entry["sentences"]) == ("final", 12, 3)
    assert entry["decoding"]["beam_size"] == 3
    assert list(entry["files"]) == [str(source), str(reference)]
    translations = run / entry["hypotheses"]
    _, expected, _ = call_program("translate", run, source, "--set", "beam_size=3")
    assert translations.read_text() == expected

    command = [sys.executable, "-m", "sacrebleu", str(reference), "-i", str(translations), "-m", "bleu"]
    bleu = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert (bleu["score"], bleu["signature"]) == (
        round(entry["scores"][0]["value"], 1),
        entry["scores"][0]["signature"],
    )

    _, again, _ = call_program(*arguments, "--reference", reference, "--tokenize", "char", "--lowercase")
    assert "nrefs:2|case:lc|eff:no|tok:char" in again
    entries = json.loads((run / "scores.json").read_text())
    assert entries[0] == entry
    assert len(entries) == len(list((run / "hypotheses").iterdir())) == 2


def test_unequal_counts_are_refused(run: Path, files: tuple[Path, Path], call_program: Program) -> None:
    source, reference = files
    reference.write_text(REFERENCE + "mehr\n")
    code, output, errors = call_program("evaluate", run, "--source", source, "--reference", reference)
    assert (code, output) == (1, "")
    assert f"error: {source} has 3 lines but {reference} has 4; expected the same number" in errors
    assert not (run / "scores.json").exists()


def test_named_test_set_without_a_network_is_explained(
    run: Path, run_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # sacreBLEU reads its folder when it is imported, so that this needs a process of its own.
    monkeypatch.setenv("SACREBLEU", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    finished = run_command("evaluate", run, "--test-set", "wmt14")
    assert finished.returncode == 1
    assert "error: the test set wmt14 en-de cannot be downloaded" in finished.stderr.decode()


def test_named_test_set_is_read_from_the_cache(
    run: Path, run_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache" / "wmt14"
    folder.mkdir(parents=True)
    for field in ("src", "ref", "docid", "genre", "origlang"):
        text = SOURCE if field == "src" else REFERENCE
        (folder / f"wmt14.en-de.{field}").write_text(text)
    monkeypatch.setenv("SACREBLEU", str(tmp_path / "cache"))
    finished = run_command("evaluate", run, "--test-set", "wmt14", "--language-pair", "en-de")
    assert finished.returncode == 0, finished.stderr.decode()
    (entry,) = json.loads((run / "scores.json").read_text())
    assert (entry["test_set"], entry["sentences"]) == ("wmt14 en-de", 3)


def test_damaged_scores_are_named_and_left_alone(run: Path, files: tuple[Path, Path], call_program: Program) -> None:
    (run / "scores.json").write_text("[{")
    code, _, errors = call_program("evaluate", run, "--source", files[0], "--reference", files[1])
    assert code == 1
    assert "scores.json is damaged" in errors
    assert (run / "scores.json").read_text() == "[{"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "expected --source FILE and --reference FILE, or --test-set NAME"),
        (["--source", "SOURCE"], 2, "expected --source FILE and --reference FILE"),
        (["--source", "SOURCE", "--reference", "SOURCE", "--test-set", "wmt14"], 2, "or --test-set NAME"),
        (["--test-set", "wmt1914"], 1, "error: sacreBLEU has no test set 'wmt1914'"),
        (
            ["--test-set", "wmt14", "--language-pair", "en-xx"],
            1,
            "no language pair 'en-xx'; expected one of cs-en",
        ),
        (["--source", "SOURCE", "--reference", "EMPTY"], 1, "has 3 lines but"),
        (["--source", "EMPTY", "--reference", "EMPTY"], 1, "is empty; expected at least one line"),
        (["--source", "SOURCE", "--reference", "SOURCE", "--tokenize", "14a"], 1, "no BLEU tokenizer '14a'"),
        (["--source", "SOURCE", "--reference", "missing"], 1, "cannot read missing"),
    ],
)
def test_mistakes_are_explained(
    run: Path, files: tuple[Path, Path], call_program: Program, arguments: list[str], code: int, message: str
) -> None:
    empty = files[0].with_name("empty")
    empty.touch()
    places = {"SOURCE": files[0], "EMPTY": empty}
    found, output, errors = call_program("evaluate", run, *(places.get(word, word) for word in arguments))
    assert (found, output) == (code, "")
    # Usage errors are wrapped in the width of a terminal.
    assert message in " ".join(errors.split())
