"""Faults of disks and signals, put in by hand: nothing that was saved is lost, and the message says what to do."""

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from translator.checkpoints import RunDirectory, read_checkpoint
from translator.checkpoints import checkpoint as store
from translator.training import metrics_log

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def arguments(settings_file: Path) -> tuple[object, ...]:
    """Of a training that saves after steps 4, 8 and 12."""
    return ("train", settings_file, f"data.prepared={settings_file.parent / 'prepared'}", "training.average_last=1")


@pytest.fixture
def run(settings_file: Path) -> RunDirectory:
    """The run that suffers."""
    return RunDirectory(settings_file.parent / "run")


@pytest.fixture
def whole(settings_file: Path, arguments: tuple[object, ...], call_program: Call) -> RunDirectory:
    """The same run without any fault."""
    whole = settings_file.parent / "whole"
    assert call_program(*arguments, f"run={whole}")[0] == 0
    return RunDirectory(whole)


def assert_ends_like(run: RunDirectory, whole: RunDirectory) -> None:
    found, expected = (read_checkpoint(each.checkpoint(12)) for each in (run, whole))
    for tensors, reference in ((found.weights, expected.weights), (found.optimizer, expected.optimizer)):
        assert tensors.keys() == reference.keys()
        assert all(torch.equal(tensors[name], reference[name]) for name in reference)
    assert {**found.state, "seconds": 0} == {**expected.state, "seconds": 0}
    assert not [path.name for path in run.checkpoints.iterdir() if path.name.startswith(".")]


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-5] ^= 16
    file.write_bytes(content)


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 1000)


@pytest.mark.parametrize(("damage", "name"), [(flip, store.WEIGHTS), (truncate, store.OPTIMIZER)])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_goes_on(
    run: RunDirectory,
    whole: RunDirectory,
    arguments: Any,
    call_program: Call,
    damage: Callable[[Path], None],
    name: str,
) -> None:
    assert call_program(*arguments, "training.max_steps=8")[0] == 0
    damage(run.checkpoint(8) / name)
    code, _, errors = call_program(*arguments)
    assert code == 0
    assert f"{run.checkpoint(8) / name} is damaged" in errors
    assert f"set aside as {run.checkpoints / 'damaged-step-00000008'}" in errors
    assert f"resuming after step 4 from {run.checkpoint(4)}" in errors
    assert (run.checkpoints / "damaged-step-00000008" / name).is_file()
    assert_ends_like(run, whole)


def test_a_run_whose_checkpoints_are_all_damaged_is_not_begun_anew(
    run: RunDirectory, arguments: Any, call_program: Call
) -> None:
    assert call_program(*arguments, "training.max_steps=8")[0] == 0
    for step in run.steps():
        flip(run.checkpoint(step) / store.WEIGHTS)
    for _ in range(2):
        code, _, errors = call_program(*arguments)
        assert code == 1
        assert f"none of the checkpoints in {run.checkpoints} is intact" in errors
    assert run.steps() == [4, 8]


def test_damaged_final_weights_are_named_and_made_anew(run: RunDirectory, arguments: Any, call_program: Call) -> None:
    assert call_program(*arguments)[0] == 0
    file = run.models / "final" / store.WEIGHTS
    before = file.read_bytes()
    flip(file)
    code, out, errors = call_program("translate", run.root, input=b"the dog sleeps.\n")
    assert (code, out) == (1, "")
    assert f"{file} is damaged" in errors and "--weights (" in errors and "repeat the `translator train`" in errors
    assert call_program("translate", run.root, "--weights", "12", input=b"the dog sleeps.\n")[0] == 0
    code, _, errors = call_program(*arguments)
    assert code == 0
    assert f"{file} is damaged" in errors
    assert file.read_bytes() == before


def test_a_disk_that_fills_up_during_a_save(
    run: RunDirectory, whole: RunDirectory, arguments: Any, call_program: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store.save_file

    def fill_up(tensors: Any, file: Path) -> None:
        real(tensors, file)
        if "step-00000008" in str(file):
            truncate(file)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(store, "save_file", fill_up)
        code, _, errors = call_program(*arguments)
    assert code == 1
    assert f"error: cannot write {run.checkpoint(8)}: No space left on device" in errors
    assert f"{run.checkpoint(4)} is intact" in errors and "make room" in errors
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-00000004"]
    assert read_checkpoint(run.checkpoint(4)).state["step"] == 4
    code, _, errors = call_program(*arguments)
    assert code == 0 and "resuming after step 4" in errors
    assert_ends_like(run, whole)


def test_a_disk_that_is_full_when_metrics_are_written(
    run: RunDirectory, arguments: Any, call_program: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_up(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(metrics_log, "append_text", fill_up)
    code, _, errors = call_program(*arguments)
    assert code == 1
    assert f"error: cannot write {run.metrics}: No space left on device" in errors


def test_a_run_directory_that_cannot_be_written(
    settings_file: Path, arguments: Any, call_program: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, errors = call_program(*arguments, f"run={settings_file / 'run'}")
    assert code == 1
    assert "Not a directory" in errors and "choose another run directory with run=DIRECTORY" in errors

    def refuse(path: object, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", refuse)
        code, _, errors = call_program(*arguments)
    assert code == 1
    assert "Read-only file system" in errors and "Traceback" not in errors


def test_metrics_that_cannot_be_appended_to_are_noticed_before_anything_is_written(
    run: RunDirectory, arguments: Any, call_program: Call
) -> None:
    run.metrics.mkdir(parents=True)
    code, _, errors = call_program(*arguments)
    assert code == 1 and f"error: {run.metrics} is no file" in errors
    assert [path.name for path in run.root.iterdir()] == ["metrics.jsonl"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_in_a_save_lets_it_end(
    run: RunDirectory, whole: RunDirectory, arguments: Any, call_program: Call, monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals, code: int,
) -> None:  # fmt: skip
    real, sent = store.save_file, []

    def interrupt(tensors: Any, file: Path) -> None:
        if "step-00000008" in str(file) and not sent:
            sent.append(number)
            os.kill(os.getpid(), number)
        real(tensors, file)

    with monkeypatch.context() as patch:
        patch.setattr(store, "save_file", interrupt)
        found, _, errors = call_program(*arguments)
    assert (found, sent) == (code, [number])
    assert f"stopped by {number.name} after step 8" in errors
    assert run.steps() == [4, 8] and not (run.models / "final").exists()
    assert call_program(*arguments)[0] == 0
    assert_ends_like(run, whole)
