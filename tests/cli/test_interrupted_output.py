"""An interrupted `translate --output` ends with the bytes of an uninterrupted one, whatever is tried in between."""

import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from translator.checkpoints import Checkpoint, read_checkpoint, write_checkpoint

LINES = [f"a {word} runs in the {other} house .\n" for word in "abcdefghijklmnop" for other in "abcdefghijklmnop"]


class Interrupting(io.BytesIO):
    """Lines of a pipe; SIGINT comes after some of them."""

    def __init__(self, lines: list[str], after: int | None) -> None:
        super().__init__("".join(lines).encode())
        self.left = after

    def readline(self, size: int | None = -1) -> bytes:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
        return super().readline(size)

    def __next__(self) -> bytes:
        if line := self.readline():
            return line
        raise StopIteration


Translate = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, tiny_run: Path) -> Path:
    shutil.copytree(tiny_run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def translate(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Translate:
    """Translate lines from a pipe into the file `out`, interrupted after some; return exit code and stderr."""
    from translator.cli.app import main

    def translate(lines: list[str] = LINES, after: int | None = None, *more: str) -> tuple[int, str]:
        options = ["--engine", "native", "--set", "beam_size=1", "--output", str(tmp_path / "out"), *more]
        monkeypatch.setattr(sys, "argv", ["translator", "translate", str(run), *options])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Interrupting(lines, after)))
        with pytest.raises(SystemExit) as caught:
            main()
        return int(caught.value.code or 0), capfd.readouterr().err

    return translate


@pytest.fixture
def expected(translate: Translate, tmp_path: Path) -> bytes:
    """What an uninterrupted translation writes."""
    assert translate()[0] == 0
    content = (tmp_path / "out").read_bytes()
    (tmp_path / "out").unlink()
    assert content.count(b"\n") == len(LINES)
    return content


def test_warnings_name_the_line_of_the_input_after_an_interruption_too(translate: Translate, tmp_path: Path) -> None:
    lines = [*LINES[:200], "dog " * 90 + "\n", *LINES[200:]]
    assert translate(lines, 150)[0] == 130
    code, errors = translate(lines)
    assert code == 0 and "resuming" in errors
    assert "line 201 is longer than" in errors


@pytest.mark.parametrize("again", [1, 60, 199])
def test_interrupted_again_while_it_reads_what_is_done(
    translate: Translate, expected: bytes, tmp_path: Path, again: int
) -> None:
    code, errors = translate(after=200)
    assert code == 130 and "are kept" in errors
    for _ in range(2):
        assert translate(after=again)[0] == 130
    code, errors = translate()
    assert code == 0 and (tmp_path / "out").read_bytes() == expected
    assert "after line 192" in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


@pytest.mark.parametrize("wrong", [["no such line\n", *LINES[1:]], LINES[:40], [], [*LINES[:99], "x\n", *LINES[100:]]])
def test_the_wrong_input_once_changes_nothing(
    translate: Translate, expected: bytes, tmp_path: Path, wrong: list[str]
) -> None:
    assert translate(after=200)[0] == 130
    code, errors = translate(wrong)
    assert code == 1 and "of the input are not those that" in errors
    assert translate(after=5)[0] == 130
    code, errors = translate()
    assert code == 0 and (tmp_path / "out").read_bytes() == expected
    assert "after line 192" in errors


def test_other_weights_under_the_same_name_are_refused(
    translate: Translate, expected: bytes, run: Path, tmp_path: Path
) -> None:
    assert translate(after=200)[0] == 130
    model = read_checkpoint(run / "models" / "final")
    changed = {name: weight + 0.01 for name, weight in model.weights.items()}
    write_checkpoint(run / "models" / "final", Checkpoint(changed, {}, model.state))
    code, errors = translate()
    assert code == 1 and "translated otherwise (weights" in errors and "remove the file to start again" in errors
    write_checkpoint(run / "models" / "final", model)
    assert translate()[0] == 0
    assert (tmp_path / "out").read_bytes() == expected


@pytest.mark.parametrize("damage", ["zero", "flip", "truncate", "note"])
def test_a_damaged_text_is_not_resumed(translate: Translate, expected: bytes, tmp_path: Path, damage: str) -> None:
    assert translate(after=200)[0] == 130
    note, text = sorted(tmp_path.glob(".out*"), key=lambda path: not path.name.endswith(".json"))
    file = note if damage == "note" else text
    data = bytearray(file.read_bytes())
    data[10] ^= 1
    file.write_bytes({"zero": bytes(len(data)), "truncate": data[:-9]}.get(damage, data))
    code, errors = translate()
    assert code == 0 and (tmp_path / "out").read_bytes() == expected
    assert "is damaged" in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


def test_files_that_only_look_like_ours_are_left_alone(translate: Translate, expected: bytes, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    for name in (".out.partial", ".out.0123456789abcdef.unfinished", ".out.0123456789abcdef.partial"):
        (tmp_path / name).symlink_to("mine")
    assert translate(after=200)[0] == 130
    assert translate()[0] == 0
    assert (tmp_path / "out").read_bytes() == expected
    assert (tmp_path / "mine").read_text() == "mine" and (tmp_path / ".out.partial").is_symlink()


def test_interrupted_output_with_markup_continues(translate: Translate, tmp_path: Path) -> None:
    lines = [f"a <b>{line.strip()}</b> house .\n" for line in LINES]
    assert translate(lines, None, "--markup=html")[0] == 0
    whole = (tmp_path / "out").read_bytes()
    assert whole.count(b"\n") == len(lines) and whole.count(b"</b>") == len(lines)
    (tmp_path / "out").unlink()
    assert translate(lines, 200, "--markup=html")[0] == 130
    assert not (tmp_path / "out").exists()
    # Without the option, it is another translation.
    code, errors = translate(lines)
    assert code == 1 and "markup" in errors
    code, errors = translate(lines, None, "--markup=html")
    assert code == 0, errors
    assert (tmp_path / "out").read_bytes() == whole
