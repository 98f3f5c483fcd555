"""What a user can meet becomes a sentence and an exit code: full disks, closed streams, odd locales, hostile text."""

import errno
import gzip
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.patience import PATIENCE
from translator.checkpoints import Checkpoint, write_checkpoint
from translator.cli import boundary
from translator.cli.boundary import run_program
from translator.runtime.console import print_result, progress, say, warn
from translator.runtime.printable import printable

Program = Callable[..., tuple[int, str, str]]

TRANSLATOR = f"{sys.executable} -m translator"


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `$T` is the program."""
    return subprocess.run(
        ["bash", "-c", command.replace("$T", TRANSLATOR)],
        capture_output=True, text=True, timeout=PATIENCE, errors="backslashreplace",
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "code", "expected"),
    [
        ("$T config schema > /dev/full", 1, "error: results cannot be written to stdout (No space left on device)"),
        ("$T config schema >&-", 1, "error: stdout is closed"),
        ("$T tokenizer encode {run} <&-", 1, "error: stdin is closed; name a FILE"),
        ("yes 'a dog' | $T tokenizer encode {run} | head -n 1 > /dev/null; exit ${{PIPESTATUS[1]}}", 141, ""),
        ("echo a dog | $T tokenizer encode {run} > /dev/full", 1, "No space left on device"),
        ("$T config show training.max_step=3 2> /dev/full", 1, ""),
        ("$T config show training.max_step=3 2>&-", 1, ""),
        ("$T tokenizer encode {run} /dev/zero", 1, "error: /dev/zero is binary data, not text; expected lines of"),
        ("$T tokenizer encode {run} $(printf 'a%.0s' {{1..300}})", 1, "File name too long"),
        ("$T translate {run} $'no\\e]0;owned\\afile'", 1, "no\\x1b]0;owned\\x07file"),
        ("$T translate $'no\\e[2Jrun'", 1, "no\\x1b[2Jrun"),
        ("$T $'\\e[2Jnothing'", 2, "\\x1b[2Jnothing"),
        ("$T config show $'\\e[2J=1'", 1, "\\x1b[2J: there is no such setting"),
    ],
)
def test_a_sentence_and_an_exit_code(tiny_run: Path, command: str, code: int, expected: str) -> None:
    done = shell(command.format(run=tiny_run))
    assert done.returncode == code, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert "\x1b" not in done.stderr
    assert bool(expected) == bool(done.stderr.strip())


@pytest.mark.slow
def test_translating_survives_without_stderr_and_stops_without_stdout(tiny_run: Path) -> None:
    usual = shell(f"echo a dog | $T translate {tiny_run}")
    assert usual.returncode == 0
    assert shell(f"echo a dog | $T translate {tiny_run} 2>&-").stdout == usual.stdout
    full = shell(f"echo a dog | $T translate {tiny_run} > /dev/full")
    assert (full.returncode, "Traceback" in full.stderr) == (1, False)
    assert "results cannot be written to stdout (No space left on device)" in full.stderr


@pytest.mark.slow
@pytest.mark.parametrize("options", ["", "-OO"])
def test_an_ascii_locale_is_no_obstacle(tiny_run: Path, tmp_path: Path, options: str) -> None:
    odd = tmp_path / "Müller"
    odd.write_text("Eine Straße\n")
    python = TRANSLATOR.replace(" -m", f" {options} -m")
    command = f"env -u HOME {python} config show decoding.prefix=Müller run={tmp_path}/Lauf-ü"
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    shown = shell(command, **locale)
    assert shown.returncode == 0, shown.stderr
    assert "prefix: Müller\n" in shown.stdout and "Lauf-ü" in shown.stdout
    encoded = shell(f"{python} tokenizer encode {tiny_run} {odd} | {python} tokenizer decode {tiny_run}", **locale)
    assert encoded.stdout == "Eine Straße\n"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("Symlink loop from 'run/a'"), "'run/a': links that lead in a circle"),
        (OSError(errno.ENOSPC, "No space left on device", "a\x1b[0m.txt"), "a\\x1b[0m.txt: No space left on device"),
        (OSError(errno.EIO, "Input/output error"), "reading or writing failed: Input/output error"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", b"d\xff"), "d\\xff: Is a directory"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory"), "not enough memory"),
        (OverflowError("math range error"), "too large to compute with (math range error)"),
        (RecursionError("maximum recursion depth"), "too deep to be read"),
        (UnicodeEncodeError("ascii", "ü", 0, 1, "ordinal"), "cannot be read or written as ascii"),
        (EOFError(), "ends in the middle"),
    ],
)
def test_what_the_machine_refuses_is_said(capsys: pytest.CaptureFixture[str], error: Exception, expected: str) -> None:
    def program() -> None:
        raise error

    assert run_program(program) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and expected in said and said.count("\n") == 1


def test_a_bug_keeps_its_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_program(lambda: {}["\x1bmissing"]) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said and "this is a bug" in said and "\x1b" not in said
    monkeypatch.setenv(boundary.DEBUG, "1")
    assert run_program(lambda: Path("/no/such/file").read_text()) == 1
    assert "Traceback" in capsys.readouterr().err


def test_interrupts_and_gone_readers_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    for error, code in ((KeyboardInterrupt(), 130), (BrokenPipeError(), 141), (SystemExit(3), 3)):

        def program(error: BaseException = error) -> None:
            raise error

        assert run_program(program) == code
    assert capsys.readouterr().err == ""


def test_whatever_is_said_is_printable(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b]0;title\x07 \x9b31m \u202egnp.exe \ud800\udcff\r\u2028"
    say(hostile)
    warn(hostile)
    for _ in progress([1], description=hostile):
        pass
    said = capsys.readouterr().err
    assert said.count(r"\x1b]0;title\x07 \x9b31m \u202egnp.exe \ud800\xff\x0d\u2028") >= 3
    assert not set("\x1b\x07\x9b\u202e\u2028") & set(said.replace("\x1b[A", ""))
    assert printable("tab\t ünicode 🙂 \u200d line\r\nend\n") == "tab\t ünicode 🙂 \u200d line\r\nend\n"


def test_results_are_escaped_for_a_terminal_only(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    print_result("\x1b[2Jü")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_result("\x1b[2Jü")
    assert capfdbinary.readouterr().out.decode() == "\x1b[2Jü\n\\x1b[2Jü\n"


@pytest.mark.slow
def test_a_full_disk_names_the_output_and_what_is_kept(tiny_run: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("a dog runs in the garden\n" * 400)
    output = tmp_path / "out.txt"
    options = f"{tiny_run} {text} --output {output} --format jsonl"
    full = shell(f"ulimit -f 8; $T translate {options}")
    assert full.returncode == 1, full.stderr
    assert f"error: cannot write {output}: File too large" in full.stderr
    assert "Traceback" not in full.stderr and "Exception ignored" not in full.stderr
    assert not output.exists()
    assert shell(f"$T translate {options}").returncode == 0
    assert len(output.read_text().splitlines()) == 400


def test_damaged_and_endless_input_is_named_with_its_line(
    tiny_run: Path, tmp_path: Path, call_program: Program
) -> None:
    packed = bytearray(gzip.compress(b"".join(b"line %d\n" % number for number in range(3000))))
    packed[len(packed) // 2] ^= 0xFF
    (tmp_path / "damaged.gz").write_bytes(packed)
    code, _, errors = call_program("translate", tiny_run, tmp_path / "damaged.gz", "--set", "beam_size=1")
    assert code == 1
    assert re.search(r"error: .*damaged.gz, line [\d,]+: the gzip data are damaged \(.*\). Copy or", errors)
    code, _, errors = call_program("translate", tiny_run, "/dev/zero")
    assert code == 1
    assert "error: /dev/zero is binary data, not text" in errors
    code, output, errors = call_program("translate", tiny_run, input=b"a dog\n" + b"x" * 3_000_000 + b"\nthe cat\n")
    assert (code, output.count("\n"), output.split("\n")[1]) == (0, 3, "")
    assert "warning: stdin: line 2 is longer than 1 MiB; left blank" in errors
    (tmp_path / "long.txt").write_bytes(b"a dog\n" + b"x" * 3_000_000 + b"\n")
    for command in (
        ("score", tiny_run, "--target", tmp_path / "long.txt", "--source"),
        ("tokenizer", "encode", tiny_run),
    ):
        code, _, errors = call_program(*command, tmp_path / "long.txt")
        assert code == 1 and "long.txt, line 2: the line is longer than 1 MiB" in errors


def test_a_run_that_cannot_be_written_is_scored_and_it_is_said(
    tiny_run: Path, tmp_path: Path, call_program: Program
) -> None:
    run, text = tmp_path / "run", tmp_path / "text.txt"
    shutil.copytree(tiny_run, run)
    (run / "hypotheses").write_text("in the way")
    text.write_text("a dog\nthe cat\n")
    code, output, errors = call_program("evaluate", run, "--source", text, "--reference", text)
    assert code == 0
    assert output.startswith("BLEU")
    assert re.search(r"warning: the scores are not kept: .*hypotheses cannot be written \(File exists\)", errors)


def test_names_in_a_received_run_are_escaped(tiny_run: Path, tmp_path: Path, call_program: Program) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    weights = run / "models" / "other"
    write_checkpoint(weights, Checkpoint({"a\x1b]0;owned\x07": torch.ones(2)}, {}, {"step": 1}))
    for arguments in (["translate", run, "--weights", "other"], ["translate", run, "--weights", "\x1b[2Jnone"]):
        code, _, errors = call_program(*arguments, input=b"a dog\n")
        assert code == 1
        assert "\\x1b" in errors and "\x1b" not in errors


@pytest.mark.parametrize(("rank", "says"), [(None, True), ("0", True), ("1", False)])
def test_one_process_of_a_job_says_what_is_wrong_with_its_command_line(
    call_program: Program, monkeypatch: pytest.MonkeyPatch, rank: str | None, says: bool
) -> None:
    if rank is not None:
        for name, value in {"RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
            monkeypatch.setenv(name, value)
    code, _, errors = call_program("evaluate")
    assert code == 2 and ("expected RUN, or --hypothesis FILE" in errors) == says and bool(errors) == says
