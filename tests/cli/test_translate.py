"""`translator translate` as a person calls it."""

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from translator.translation.unfinished import find_notes

Command = Callable[..., subprocess.CompletedProcess[bytes]]
Program = Callable[..., tuple[int, str, str]]

WORDS = "dog cat man woman child runs sleeps reads"
ODD = "a dog\r\n\n  \nA man reads in the house.\u2028 next\nba\0ll </s> <unk> ▁\n🙂\u0085\v\f end".encode()


def test_lines_in_lines_out(tiny_run: Path, run_command: Command) -> None:
    finished = run_command("translate", tiny_run, input=b"\xef\xbb\xbf" + ODD + b"\xff")
    assert finished.returncode == 0, finished.stderr.decode()
    lines = finished.stdout.split(b"\n")
    assert len(lines) == ODD.count(b"\n") + 2
    assert lines[0].endswith(b"\r")
    assert lines[1:3] == [b"", b"  "]
    assert lines[-1] == b""
    assert b"warning: stdin: line 6 is not valid UTF-8" in finished.stderr


def test_translations_do_not_depend_on_the_batch(tiny_run: Path, call_program: Program) -> None:
    together = call_program("translate", tiny_run, "--set", "device=cpu", input=ODD)
    small = call_program("translate", tiny_run, "--set", "device=cpu", "--set", "batch_tokens=1", input=ODD)
    assert together[:2] == small[:2]
    assert together[0] == 0
    assert together[1].strip()


def test_files_are_translated_in_order(tiny_run: Path, call_program: Program, tmp_path: Path) -> None:
    first, second = tmp_path / "first.txt", tmp_path / "second.txt.gz"
    first.write_bytes(b"a dog runs\nthe cat")
    second.write_bytes(gzip.compress(b"a red ball\n"))
    found = call_program("translate", tiny_run, second, "-", first, input=b"the house")
    lines = [b"a red ball", b"the house", b"a dog runs", b"the cat"]
    expected = [call_program("translate", tiny_run, input=line)[1] for line in lines]
    assert found[:2] == (0, "".join(expected))
    assert len(set(expected)) == 4


def test_no_lines_make_no_lines(tiny_run: Path, call_program: Program) -> None:
    assert call_program("translate", tiny_run)[:2] == (0, "")


def test_settings_can_be_replaced_for_a_call(tiny_run: Path, call_program: Program) -> None:
    words = ["max_length_factor=0", "max_length_extra=1", "beam_size=1", "device=cpu", "threads=1"]
    options = [option for word in words for option in ("--set", word)]
    short = call_program("translate", tiny_run, *options, input=b"a dog runs in the garden\n")
    usual = call_program("translate", tiny_run, input=b"a dog runs in the garden\n")
    assert short[0] == usual[0] == 0
    assert 1 <= len(short[1]) < len(usual[1])


def test_long_lines_are_translated_in_parts_and_named(tiny_run: Path, call_program: Program) -> None:
    text = b"a dog\n" + b"the cat sleeps. " * 40 + b"\n"
    code, output, errors = call_program("translate", tiny_run, input=text)
    assert (code, output.count("\n")) == (0, 2)
    assert "warning: line 2 is longer than 63 pieces, the model's limit; translated in parts" in errors
    cut = call_program("translate", tiny_run, "--set", "long_lines=truncate", input=text)[1]
    assert len(cut) < len(output)


def test_damaged_text_can_be_refused(tiny_run: Path, call_program: Program) -> None:
    code, _, errors = call_program("translate", tiny_run, "--set", "invalid_utf8=refuse", input=b"a dog\n\xff\n")
    assert code == 1
    assert "error: stdin, line 2, byte 1: found the byte 0xFF" in errors


def test_json_lines_and_tables(tiny_run: Path, call_program: Program) -> None:
    options = ["--set", "n_best=2", "--set", "alignment=1.1"]
    text = "a dog runs\n\n the\u2028cat\r\n".encode()
    best = call_program("translate", tiny_run, input=text)[1].split("\n")[:-1]
    code, output, errors = call_program("translate", tiny_run, "--format", "jsonl", *options, input=text)
    assert code == 0, errors
    lines = [json.loads(line) for line in output.split("\n")[:-1]]
    assert [line["source"] for line in lines] == ["a dog runs", "", " the\u2028cat\r"]
    assert [line["hypotheses"][0]["text"] for line in lines] == [text.removesuffix("\r") for text in best]
    assert [len(line["hypotheses"]) for line in lines] == [2, 1, 2]
    assert all(own["alignment"] for line in lines for own in line["hypotheses"] if own["pieces"])
    code, output, _ = call_program("translate", tiny_run, "--format", "tsv", *options, input=text)
    rows = [row.split("\t") for row in output.split("\n")[:-1]]
    assert [row[:2] for row in rows] == [["1", "1"], ["1", "2"], ["2", "1"], ["3", "1"], ["3", "2"]]
    assert [float(row[2]) for row in rows] == [own["score"] for line in lines for own in line["hypotheses"]]


def test_scores_are_those_of_score(tiny_run: Path, call_program: Program, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("a dog runs\nthe man reads in the house\n")
    found = call_program("translate", tiny_run, source, "--format", "jsonl", "--set", "alignment=1.1")[1]
    lines = [json.loads(line)["hypotheses"][0] for line in found.splitlines()]
    target.write_text("".join(f"{line['text']}\n" for line in lines))
    scored = call_program("score", tiny_run, "--source", source, "--target", target, "--format", "jsonl")[1]
    for line, other in zip(lines, map(json.loads, scored.splitlines()), strict=True):
        # A text may be written in other pieces than those that the search chose.
        if line["pieces"] == other["pieces"][:-1]:
            assert line["log_probability"] == pytest.approx(other["log_probability"], abs=1e-4)
            assert line["score"] == pytest.approx(other["score"], abs=1e-4)


def test_a_file_of_translations_is_that_of_stdout(tiny_run: Path, call_program: Program, tmp_path: Path) -> None:
    expected = call_program("translate", tiny_run, input=ODD)[1]
    output = tmp_path / "out.txt"
    code, printed, errors = call_program("translate", tiny_run, "--output", output, input=ODD)
    assert (code, printed) == (0, ""), errors
    assert output.read_bytes().decode() == expected
    assert [file.name for file in tmp_path.iterdir()] == ["out.txt"]


@pytest.mark.slow
def test_a_killed_translation_goes_on(tiny_run: Path, tmp_path: Path) -> None:
    """Killed again and again, each time a block later, it ends with the bytes of an uninterrupted one."""
    lines = [f"a {word} runs in the {other}.\n" for word in WORDS.split() for other in WORDS.split()]
    source, whole, killed = tmp_path / "source", tmp_path / "whole", tmp_path / "killed"
    source.write_text("".join(lines * 12))

    def command(output: Path) -> list[str]:
        options = ["--output", str(output), "--set", "beam_size=1", "--set", "device=cpu", "--set", "threads=1"]
        # Notes are taken at every block, so that a small file will do.
        program = (
            "from translator.cli.app import main; import translator.translation.resumable_output as output; "
            "output._SYNC_SECONDS = 0.0; main()"
        )
        return [sys.executable, "-c", program, "translate", str(tiny_run), str(source), *options]

    subprocess.run(command(whole), check=True, capture_output=True)

    def note() -> bytes:
        return b"".join(file.read_bytes() for file in find_notes(killed))

    for _ in range(4):
        before = note()
        with subprocess.Popen(command(killed), stderr=subprocess.PIPE) as process:
            # At a moment when the file has grown since the kill before.
            while process.poll() is None and note() in (before, b""):
                time.sleep(0.01)
            process.kill()
        assert process.returncode != 0
    subprocess.run(command(killed), check=True, capture_output=True)
    assert killed.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_somebody_who_waits_is_answered(tiny_run: Path) -> None:
    """A program that writes a line and reads its translation before it writes the next."""
    command = [sys.executable, "-m", "translator", "translate", str(tiny_run), "--set", "beam_size=1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        for line in (b"a dog\n", b"\n", b"the cat\n"):
            process.stdin.write(line)
            process.stdin.flush()
            assert process.stdout.readline().endswith(b"\n")
        process.stdin.close()
        assert process.wait() == 0


def test_several_processes_translate_as_one(tiny_run: Path, tmp_path: Path, run_command: Command) -> None:
    source, output = tmp_path / "source", tmp_path / "output"
    source.write_bytes(ODD + b"\n" + b"".join(f"a {word} runs\n".encode() for word in WORDS.split()))
    expected = run_command("translate", tiny_run, source)
    options = ["--set", "devices=2", "--set", "device=cpu", "--output", output]
    found = run_command("translate", tiny_run, source, *options)
    assert found.returncode == 0, found.stderr.decode()
    assert output.read_bytes() == expected.stdout
    # Said by one for all.
    assert found.stderr.count(b"translating: 100%") <= 1


@pytest.mark.slow
def test_a_reader_that_has_enough_is_no_error(tiny_run: Path) -> None:
    command = [sys.executable, "-m", "translator", "translate", str(tiny_run), "--set", "beam_size=1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdout.close()
        process.stdin.write(b"a dog\n" * 200)
        process.stdin.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait() != 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 1, "error: nowhere is not a run directory"),
        (["RUN", "missing.txt"], 1, "error: cannot read missing.txt: No such file or directory"),
        (["RUN", "--set", "beams=3"], 1, "decoding.beams: there is no such setting; did you mean"),
        (
            ["RUN", "--set", "beam_size=0"],
            1,
            "decoding.beam_size: input should be greater than or equal to 1",
        ),
        (["RUN", "--weights", "best"], 1, "has no weights called 'best'; expected one of: final"),
        (["RUN", "--set", "n_best=2"], 1, "decoding.n_best: text has one translation a line, found 2; choose --format"),
        (["RUN", "--set", "n_best=9"], 1, "decoding.n_best: 9 translations cannot come from decoding.beam_size = 2"),
        (["RUN", "--output", "no/such/file"], 1, "error: no/such/file cannot be written (there is no directory"),
        (["RUN", "--engine", "marian"], 2, "'marian' is not one of"),
        ([], 2, "Missing argument 'RUN'"),
    ],
)
def test_mistakes_are_explained(
    tiny_run: Path, call_program: Program, arguments: list[str], code: int, message: str
) -> None:
    words = [str(tiny_run) if word == "RUN" else word for word in arguments]
    found, output, errors = call_program("translate", *words, input=b"a dog\n")
    assert (found, output) == (code, "")
    assert message in errors
