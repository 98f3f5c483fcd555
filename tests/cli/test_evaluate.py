"""`translator evaluate` as a person calls it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.patience import PATIENCE

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


def test_missing_scores_of_earlier_evaluations_are_noticed(
    run: Path, files: tuple[Path, Path], call_program: Program
) -> None:
    command = ("evaluate", run, "--source", files[0], "--reference", files[1])
    assert "warning: " not in call_program(*command)[2]
    (run / "scores.json").unlink()
    code, _, errors = call_program(*command)
    assert code == 0 and f"warning: {run / 'scores.json'} is missing" in errors


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


def test_any_file_is_scored_without_a_run(files: tuple[Path, Path], call_program: Program) -> None:
    source, reference = files
    hypothesis = source.with_name("output.de")
    hypothesis.write_text(REFERENCE.replace("schläft", "ruht"))
    arguments = ["evaluate", "--hypothesis", hypothesis, "--reference", reference]
    code, output, errors = call_program(*arguments)
    assert code == 0, errors
    command = [sys.executable, "-m", "sacrebleu", reference, "-i", hypothesis, "-m", "bleu", "chrf", "-b", "-w", "2"]
    expected = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [line.split(" = ")[1].split("  ")[0] for line in output.splitlines()]
    assert found[:2] == [str(value) for value in json.loads(expected.stdout)]
    assert [line.split(" = ")[0] for line in output.splitlines()] == ["BLEU", "chrF2", "chrF2++", "TER"]

    code, output, errors = call_program(*arguments, "--source", source, "--reference", reference, "--format", "json")
    assert code == 0, errors
    (entry,) = json.loads(output)["test_sets"]
    assert (entry["test_set"], entry["sentences"]) == ("output.de", 3)
    assert [score["name"] for score in entry["scores"]] == ["BLEU", "chrF2", "chrF2++", "TER"]
    assert "nrefs:2" in entry["scores"][0]["signature"]


def test_a_blank_second_reference_changes_nothing(files: tuple[Path, Path], call_program: Program) -> None:
    source, reference = files
    hypothesis, blank = source.with_name("output.de"), source.with_name("blank.de")
    hypothesis.write_text("Ein Hund läuft.\nDer Mann.\nDie Katze schläft auf.\n")
    blank.write_text("\n \n\n")
    arguments = ["evaluate", "--hypothesis", hypothesis, "--reference", reference]
    _, alone, _ = call_program(*arguments)
    _, both, errors = call_program(*arguments, "--reference", blank)
    figures = [[line.split("  ")[0] for line in text.splitlines()] for text in (alone, both)]
    assert figures[0] == figures[1]
    assert "warning: reference 2 is blank in 3 of 3 lines, which are taken as missing references" in errors
    _, _, errors = call_program("evaluate", "--hypothesis", hypothesis, "--reference", blank)
    assert "warning: the reference is blank in 3 of 3 lines" in errors


def test_several_test_sets_are_a_table(run: Path, files: tuple[Path, Path], call_program: Program) -> None:
    source, reference = files
    other = source.with_name("japanese"), source.with_name("japanese.ja")
    other[0].write_text("A dog runs.\nThe man reads.\n")
    other[1].write_text("犬が走る。\n男の人が読む。\n")
    arguments = ["evaluate", run, "--source", source, "--source", other[0], "--set", "beam_size=1"]
    arguments += ["--reference", reference, "--reference", other[1]]
    code, output, errors = call_program(*arguments)
    assert code == 0, errors
    lines = output.splitlines()
    assert lines[0].split() == ["test", "set", "sentences", "BLEU", "chrF2", "chrF2++", "TER"]
    assert [line.split()[:2] for line in lines[1:3]] == [["test.en", "3"], ["japanese", "2"]]
    entries = json.loads((run / "scores.json").read_text())
    assert [entry["test_set"] for entry in entries] == ["test.en", "japanese"]
    for entry, line in zip(entries, lines[1:3], strict=True):
        assert line.split()[2:] == [f"{score['value']:.2f}" for score in entry["scores"]]
    # The second has another tokenizer, which is said.
    signatures = [line for line in lines[3:] if line.startswith("BLEU")]
    assert len(signatures) == 2 and "tok:13a" in signatures[0] and "tok:13a" not in signatures[1]
    assert signatures[1].endswith("(japanese)") and "ja-mecab" in errors

    code, output, _ = call_program(*arguments, "--format", "json")
    found = json.loads(output)
    assert found["run"] == str(run) and found["weights"] == "final"
    assert [entry["test_set"] for entry in found["test_sets"]] == ["test.en", "japanese"]
    assert Path(found["test_sets"][1]["hypotheses"]).is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected RUN, or --hypothesis FILE and --reference FILE"),
        (["RUN", "--hypothesis", "SOURCE", "--reference", "SOURCE"], "--hypothesis is scored without a run"),
        (
            ["--hypothesis", "SOURCE", "--reference", "SOURCE", "--engine", "native"],
            "--hypothesis is scored without a run",
        ),
        (
            ["--hypothesis", "SOURCE", "--reference", "SOURCE", "--language-pair", "en-zh"],
            "--hypothesis is scored without a run",
        ),
        (
            ["RUN", "--source", "SOURCE", "--reference", "SOURCE", "--language-pair", "en-zh"],
            "--language-pair is that of a --test-set",
        ),
        (["--hypothesis", "SOURCE"], "found 1 --hypothesis and 0 --reference"),
        (
            ["--hypothesis", "SOURCE", "--hypothesis", "SOURCE", *["--reference", "SOURCE"] * 3],
            "found 2 --hypothesis and 3 --reference; expected references, as many for each",
        ),
        (
            ["--hypothesis", "SOURCE", "--reference", "SOURCE", "--source", "SOURCE", "--source", "SOURCE"],
            "expected one source for each, or none",
        ),
        (["RUN", *["--source", "SOURCE"] * 2, "--reference", "SOURCE"], "found 2 --source and 1 --reference"),
    ],
)
def test_mistakes_without_a_run_are_explained(
    run: Path, files: tuple[Path, Path], call_program: Program, arguments: list[str], message: str
) -> None:
    places = {"SOURCE": files[0], "RUN": run}
    code, output, errors = call_program("evaluate", *(places.get(word, word) for word in arguments))
    assert (code, output) == (2, "")
    assert message in " ".join(errors.replace("│", " ").split())


def test_processes_of_a_job_share_the_lines_and_one_reports(
    run: Path, files: tuple[Path, Path], call_program: Program, start_ranks: Callable[..., list[subprocess.Popen[str]]]
) -> None:
    source, reference = files
    command = ["evaluate", run, "--set", "device=cpu", "--set", "threads=1"]
    command += ["--source", source, "--reference", reference] * 2
    code, expected, _ = call_program(*command)
    assert code == 0
    processes = start_ranks(2, "-m", "translator", *command)
    outputs = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [output for output, _ in outputs] == [expected, ""]
    assert outputs[1][1] == ""
    entries = json.loads((run / "scores.json").read_text())
    assert [entry["sentences"] for entry in entries] == [3, 3, 3, 3]
    texts = [(run / entry["hypotheses"]).read_text() for entry in entries]
    assert len(set(texts)) == 1 and texts[0].strip()


def test_given_translations_are_scored_by_one_process_of_a_job(
    files: tuple[Path, Path], call_program: Program, start_ranks: Callable[..., list[subprocess.Popen[str]]]
) -> None:
    command = ["evaluate", "--hypothesis", files[1], "--reference", files[1]]
    code, expected, _ = call_program(*command)
    assert code == 0 and expected
    processes = start_ranks(2, "-m", "translator", *command)
    outputs = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [output for output, _ in outputs] == [expected, ""] and outputs[1][1] == ""
