"""`translator translate` as a person calls it."""

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[bytes]]
Program = Callable[..., tuple[int, str, str]]

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


def test_lines_that_are_too_long_are_cut_and_named(tiny_run: Path, call_program: Program) -> None:
    code, output, errors = call_program("translate", tiny_run, input=b"a dog\n" + b"the cat sleeps. " * 40 + b"\n")
    assert (code, output.count("\n")) == (0, 2)
    assert "warning: line 2 is longer than 63 pieces, the model's limit" in errors


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
