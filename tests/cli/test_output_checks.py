"""Every command refuses an output that it must not write before it loads a model, and keeps what was there."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

Program = Callable[..., tuple[int, str, str]]

TEXT = "a dog runs.\nthe cat sleeps.\n"


@pytest.fixture
def folder(tmp_path: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with texts, a picture and metrics of a run; `RUN` is a link to a run."""
    monkeypatch.chdir(tmp_path)
    for name in ("in.txt", "ref.txt", "page.html", "picture.png", "report.json"):
        (tmp_path / name).write_text(TEXT)
    (tmp_path / "metrics.jsonl").write_text('{"kind": "train", "step": 1, "time": 1.0, "loss": 2.0, "nll": 2.0}\n')
    (tmp_path / "directory.png").mkdir()
    (tmp_path / "RUN").symlink_to(tiny_run)
    return tmp_path


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to load a model or train a tokenizer."""
    import translator.checkpoints.bundle as bundle
    import translator.text.tokenizer_file as tokenizer_file

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("work has begun")

    monkeypatch.setattr(bundle, "read_run_config", refuse)
    monkeypatch.setattr(tokenizer_file, "train_tokenizer", refuse)


TRANSLATE = ("translate", "RUN", "in.txt", "--output")
HEADS = ("heads", "RUN", "--source", "in.txt", "--reference", "ref.txt", "--output")
TRAIN = ("tokenizer", "train", "in.txt", "--output")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ((*TRANSLATE, "directory.png"), "it is a directory"),
        ((*TRANSLATE, "in.txt"), "it is the input in.txt"),
        ((*TRANSLATE, "directory.png/../in.txt"), "it is the input in.txt"),
        ((*TRANSLATE, "RUN/config.yaml"), "config.yaml"),
        ((*TRANSLATE, "RUN/models/final/model.safetensors"), "nothing is written there"),
        ((*TRANSLATE, "RUN/models/new.txt"), "nothing is written there"),
        ((*TRANSLATE, "missing/out.txt"), "there is no directory"),
        ((*TRANSLATE, "in.txt/out.txt"), "is not a directory"),
        ((*HEADS, "directory.png"), "it is a directory"),
        (("heads", "RUN", "--source", "report.json", "--reference", "ref.txt", "--output", "report.json"), "the input"),
        (("attention", "RUN", "a dog", "--output", "directory.png"), "it is a directory"),
        (("attention", "RUN", "a dog", "--output", "RUN/checkpoints/map.png"), "nothing is written there"),
        (("plot", ".", "--output", "directory.png"), "it is a directory"),
        ((*TRAIN, "directory.png"), "it is a directory"),
        ((*TRAIN, "in.txt"), "it is the input in.txt"),
        (("tokenizer", "train", "{in,ref}.txt", "--output", "ref.txt"), "it is the input ref.txt"),
        (("prune", "RUN", "--heads", "encoder.1.1", "--output", "RUN/models/new"), "nothing is written there"),
    ],
)
def test_what_must_not_be_written_is_refused_before_any_work(
    folder: Path, no_model: None, call_program: Program, command: tuple[str, ...], reason: str
) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    code, printed, errors = call_program(*command)
    assert (code, printed) == (1, ""), errors
    assert "cannot be written" in errors and reason in errors
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["symlink", "hard link", "stdin"])
def test_an_input_is_known_by_whatever_name(folder: Path, no_model: None, call_program: Program, kind: str) -> None:
    out = folder / "out.txt"
    if kind == "symlink":
        out.symlink_to("in.txt")
    else:
        os.link(folder / "in.txt", out)
    command = TRANSLATE if kind != "stdin" else ("translate", "RUN", "--output")
    if kind == "stdin":
        pytest.importorskip("fcntl")
        import sys

        import translator.runtime.outputs as outputs

        class Redirected:
            def fileno(self) -> int:
                return descriptor

        descriptor = os.open(folder / "in.txt", os.O_RDONLY)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", Redirected())
            with pytest.raises(Exception, match="read as input"):
                outputs.check_output(out, inputs=[Path("-")])
        os.close(descriptor)
        return
    code, _, errors = call_program(*command, "out.txt")
    assert code == 1 and "it is the input in.txt" in errors
    assert (folder / "in.txt").read_text() == TEXT


@pytest.mark.parametrize("command", [TRANSLATE, TRAIN])
def test_a_link_is_followed_and_stays_a_link(folder: Path, call_program: Program, command: tuple[str, ...]) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "link").symlink_to(folder / "elsewhere" / "real")
    more = ("--set", "vocab_size=300") if command is TRAIN else ()
    code, _, errors = call_program(*command, "link", *more)
    assert code == 0, errors
    assert (folder / "link").is_symlink() and (folder / "elsewhere" / "real").stat().st_size
    assert [path.name for path in (folder / "elsewhere").iterdir()] == ["real"]


def test_a_pipe_is_written_to_as_a_stream(folder: Path, call_program: Program) -> None:
    os.mkfifo(folder / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((folder / "pipe").read_bytes()), daemon=True)
    reader.start()
    code, _, errors = call_program(*TRANSLATE, "pipe")
    assert code == 0, errors
    reader.join(20)
    assert read and read[0].count(b"\n") == 2
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)
    assert not list(folder.glob(".*"))


def test_devices_are_written_to_as_streams(folder: Path, call_program: Program) -> None:
    expected = call_program("translate", "RUN", "in.txt")[1]
    code, printed, errors = call_program(*TRANSLATE, "/dev/stdout")
    assert (code, printed) == (0, expected), errors
    code, _, errors = call_program(*TRANSLATE, "/dev/null")
    assert code == 0 and stat.S_ISCHR(Path("/dev/null").stat().st_mode), errors
    if Path("/dev/full").exists():
        code, _, errors = call_program(*TRANSLATE, "/dev/full")
        assert code == 1 and "/dev/full cannot be written (No space left on device)" in errors


def test_permissions_of_a_file_that_is_replaced_are_kept(folder: Path, call_program: Program) -> None:
    (folder / "out.txt").touch()
    (folder / "out.txt").chmod(0o600)
    assert call_program(*TRANSLATE, "out.txt")[0] == 0
    assert stat.S_IMODE((folder / "out.txt").stat().st_mode) == 0o600
    assert (folder / "out.txt").read_text().count("\n") == 2
