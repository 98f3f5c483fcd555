"""`translator score` as a person calls it: as many lines out as pairs in, whatever they hold."""

import gzip
import json
import math
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from translator.checkpoints import load_bundle, read_checkpoint, write_checkpoint
from translator.errors import DataError
from translator.translation.score_lines import pair_lines, score_lines

Program = Callable[..., tuple[int, str, str]]
CPU = ("--set", "device=cpu")

SOURCES = ["a dog\r", "", "the cat sleeps", " \t", "a red ball</s> ▁", "", "one"]
TARGETS = ["ein Hund", "", "\u2028", "", "🙂 ball\u0085", "kein Satz", "the house. " * 40]


@pytest.fixture
def files(tmp_path: Path) -> list[object]:
    """Seven pairs, of which the sixth and the seventh cannot be scored."""
    (tmp_path / "source.gz").write_bytes(gzip.compress("\n".join(SOURCES).encode() + b"\n"))
    (tmp_path / "target").write_bytes(b"\xef\xbb\xbf" + "\n".join(TARGETS).encode())
    return ["--source", tmp_path / "source.gz", "--target", tmp_path / "target"]


def scores_of(output: str) -> list[float | None]:
    return [json.loads(line) for line in output.splitlines()]


def test_as_many_scores_as_lines(tiny_run: Path, call_program: Program, files: list[object]) -> None:
    code, output, errors = call_program("score", tiny_run, *files, *CPU)
    assert code == 0, errors
    scores = scores_of(output)
    assert [score is None for score in scores] == [False] * 5 + [True] * 2
    assert [score == 0.0 for score in scores] == [False, True, False, True, False, False, False]
    assert all(score is None or score <= 0.0 for score in scores)
    assert "warning: line 6 is blank in the source but not in the target" in errors
    assert "warning: line 7 is longer than 63 pieces on one side, the model's limit; the score is null" in errors
    assert "7 pairs (2 without a score)" in errors


def test_the_forms_say_the_same(tiny_run: Path, call_program: Program, files: list[object]) -> None:
    text, tsv, jsonl = (
        call_program("score", tiny_run, *files, "--format", form, *CPU)[1].splitlines()
        for form in ("text", "tsv", "jsonl")
    )
    entries = [json.loads(line) for line in jsonl]
    columns = ["log_probability", "score", "tokens", "perplexity"]
    assert [line.split("\t") for line in tsv] == [[json.dumps(entry[name]) for name in columns] for entry in entries]
    assert text == [line.split("\t")[0] for line in tsv]
    tokenizer = load_bundle(tiny_run, device="cpu").tokenizers.target
    for entry, target in zip(entries[:5], TARGETS, strict=False):
        values = entry["log_probabilities"]
        assert math.fsum(values) == pytest.approx(entry["log_probability"], abs=1e-5)
        assert entry["tokens"] == len(values) == len(entry["pieces"])
        if values:
            assert entry["pieces"] == [
                *tokenizer.pieces(tokenizer.encode([target if target.strip() else ""])[0]),
                "</s>",
            ]
            assert entry["perplexity"] == pytest.approx(math.exp(-entry["log_probability"] / len(values)), rel=1e-5)
            penalty = ((5 + len(values)) / 6) ** 0.6
            assert entry["score"] == pytest.approx(entry["log_probability"] / penalty, abs=1e-4)
    assert (entries[1]["pieces"], entries[1]["perplexity"]) == ([], 1.0)
    assert entries[2]["pieces"] == ["</s>"]
    assert entries[6]["log_probabilities"] is entries[6]["score"] is entries[6]["perplexity"] is None
    assert entries[6]["tokens"] == len(entries[6]["pieces"]) > 64


def test_the_summary_is_over_the_tokens(tiny_run: Path, call_program: Program, files: list[object]) -> None:
    _, output, errors = call_program("score", tiny_run, *files, "--format", "jsonl", *CPU)
    values = [value for line in output.splitlines() for value in json.loads(line)["log_probabilities"] or []]
    mean = math.fsum(values) / len(values)
    assert f"{len(values)} tokens, end of sentence included: log-probability {mean:.4f} a token" in errors
    assert f"perplexity {math.exp(-mean):.3f}" in errors


def test_settings_can_be_replaced(tiny_run: Path, call_program: Program, files: list[object]) -> None:
    usual = scores_of(call_program("score", tiny_run, *files, *CPU)[1])
    small = scores_of(call_program("score", tiny_run, *files, *CPU, "--set", "batch_tokens=1")[1])
    assert [score is None for score in small] == [score is None for score in usual]
    assert [score for score in small if score is not None] == pytest.approx(
        [score for score in usual if score is not None], abs=1e-5
    )
    rows = call_program("score", tiny_run, *files, *CPU, "--format", "tsv", "--set", "length_alpha=0")[1].splitlines()
    assert all(row.split("\t")[0] == row.split("\t")[1] for row in rows)


def test_lines_are_read_a_window_at_a_time(tiny_run: Path) -> None:
    bundle = load_bundle(tiny_run, device="cpu")
    taken = 0

    def endless() -> Iterator[tuple[str, str]]:
        nonlocal taken
        while True:
            taken += 1
            yield "a dog", "ein Hund"

    heard: list[int] = []
    lines = score_lines([bundle], endless(), bundle.config.decoding, window=3, on_progress=heard.append)
    assert all(next(lines).target for _ in range(7))
    assert (taken, heard) == (9, [3, 3])


@pytest.fixture(scope="module")
def other_run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run with other weights."""
    path = tmp_path_factory.mktemp("runs") / "other"
    shutil.copytree(tiny_run, path)
    checkpoint = read_checkpoint(path / "models" / "final")
    for weight in checkpoint.weights.values():
        weight.mul_(1.2)
    write_checkpoint(path / "models" / "final", checkpoint)
    return path


def test_an_ensemble_has_the_mean_probability(
    tiny_run: Path, other_run: Path, call_program: Program, files: list[object]
) -> None:
    each, other, both = (
        [
            json.loads(line)["log_probabilities"]
            for line in call_program("score", *runs, *files, "--format", "jsonl", *CPU)[1].splitlines()
        ]
        for runs in ([tiny_run], [other_run], [tiny_run, "--with", other_run])
    )
    assert each != other
    for one, two, mean in zip(each[:5], other[:5], both[:5], strict=True):
        expected = [math.log((math.exp(a) + math.exp(b)) / 2) for a, b in zip(one, two, strict=True)]
        assert mean == pytest.approx(expected, abs=1e-5)
    assert both[5:] == [None, None]


def test_weights_that_give_no_numbers(
    tiny_run: Path, tmp_path: Path, files: list[object], call_program: Program
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    checkpoint = read_checkpoint(run / "models" / "final")
    for weight in checkpoint.weights.values():
        weight.fill_(math.nan)
    write_checkpoint(run / "models" / "final", checkpoint)
    code, output, errors = call_program("score", run, *files, *CPU)
    assert code == 0
    assert [score is None for score in scores_of(output)] == [True, False, True, False, True, True, True]
    assert "warning: lines 1, 3, 5 are without a finite log-probability" in errors


@pytest.mark.parametrize(("sources", "targets"), [(3, 5), (5, 3), (0, 1), (1, 0)])
def test_counts_that_differ_are_an_error(sources: int, targets: int) -> None:
    pairs = pair_lines(["x"] * sources, iter(["y"] * targets), ("left", "right"))
    lines = "1 line" if sources == 1 else f"{sources} lines"
    with pytest.raises(DataError, match=f"left has {lines} but right has {targets}; expected the same number in both"):
        list(pairs)


def test_counts_that_differ_end_with_1(tiny_run: Path, call_program: Program, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("ein Hund\n" * 3)
    options = ["--source", "-", "--target", tmp_path / "target"]
    code, output, errors = call_program("score", tiny_run, *options, *CPU, input=b"a dog\n" * 2)
    assert (code, output) == (1, "")
    assert f"error: stdin has 2 lines but {tmp_path / 'target'} has 3; expected the same number in both" in errors
    assert "perplexity" not in errors


def test_no_lines(tiny_run: Path, call_program: Program, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    code, output, errors = call_program("score", tiny_run, "--source", "-", "--target", tmp_path / "empty", *CPU)
    assert (code, output) == (0, "")
    assert "0 pairs, 0 tokens, end of sentence included: nothing to score" in errors


@pytest.mark.parametrize("side", ["--source", "--target"])
def test_text_that_is_not_utf_8_can_be_refused(
    tiny_run: Path, tmp_path: Path, call_program: Program, side: str
) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(b"a dog\n")
    bad.write_bytes(b"a \xff\n")
    words = ["--source", good, "--target", good, side, bad]
    assert call_program("score", tiny_run, *words)[0] == 0
    code, output, errors = call_program("score", tiny_run, *words, "--set", "invalid_utf8=refuse")
    assert (code, output) == (1, "") and f"{bad}, line 1" in errors


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["RUN", "--source", "FILE"], 2, "Missing option '--target'"),
        (["RUN", "--source", "-", "--target", "-"], 2, "only one of --source and --target can be stdin"),
        (["RUN", "--source", "FILE", "--target", "missing"], 1, "error: cannot read missing: No such file"),
        (["RUN", "--source", "FILE", "--target", "FILE", "--format", "xml"], 2, "'xml' is not one of"),
        (["RUN", "--source", "FILE", "--target", "FILE", "--with", "nowhere"], 1, "nowhere is not a run directory"),
        (
            ["RUN", "--source", "FILE", "--target", "FILE", "--to", "de"],
            1,
            "has one target language only; leave it out",
        ),
        (["RUN", "--source", "FILE", "--target", "FILE", "--weights", "best"], 1, "has no weights called 'best'"),
    ],
)
def test_mistakes_are_explained(
    tiny_run: Path, tmp_path: Path, call_program: Program, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "text").write_text("a dog\n")
    places = {"RUN": str(tiny_run), "FILE": str(tmp_path / "text")}
    found, output, errors = call_program("score", *[places.get(word, word) for word in arguments])
    assert (found, output) == (code, "")
    assert message in errors


def test_processes_of_a_job_share_the_pairs_and_one_reports(
    tiny_run: Path,
    tmp_path: Path,
    call_program: Program,
    files: list[object],
    start_ranks: Callable[..., list[subprocess.Popen[str]]],
) -> None:
    # More than a window, in batches of which each process gets some.
    for name, lines in (("source", SOURCES), ("target", TARGETS)):
        (tmp_path / f"{name}.long").write_bytes("\n".join(lines[:6] * 200).encode() + b"\n")
    command = ["score", tiny_run, "--source", tmp_path / "source.long", "--target", tmp_path / "target.long"]
    command += ["--format", "jsonl", *CPU, "--set", "threads=1", "--set", "batch_tokens=256"]
    code, expected, errors = call_program(*command)
    assert code == 0 and expected.count("\n") == 1200, errors
    processes = start_ranks(3, "-m", "translator", *command)
    outputs = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert [output for output, _ in outputs] == [expected, "", ""]
    assert [text.count("1,200 pairs (200 without a score)") for _, text in outputs] == [1, 0, 0]
    assert [text for _, text in outputs[1:]] == ["", ""]
