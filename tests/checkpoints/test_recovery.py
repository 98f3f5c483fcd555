"""A damaged checkpoint is named and set aside, never deleted, and an intact one is used."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from translator.checkpoints import (
    Checkpoint,
    RunDirectory,
    load_bundle,
    read_checkpoint,
    read_final,
    read_newest,
    set_aside_damaged,
    warn_of_missing,
    write_checkpoint,
)
from translator.checkpoints.checkpoint import OPTIMIZER, STATE, WEIGHTS
from translator.errors import CheckpointError


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 8
    file.write_bytes(content)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-3])


DAMAGES = pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
FILES = pytest.mark.parametrize("name", [WEIGHTS, OPTIMIZER, STATE])


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Three checkpoints and final weights, all different."""
    run = RunDirectory(tmp_path / "run")
    for step in (10, 20, 30):
        tensors = {"a": torch.full((40,), float(step))}
        write_checkpoint(run.checkpoint(step), Checkpoint(tensors, {"a/m": tensors["a"]}, {"step": step}))
    write_checkpoint(run.models / "final", Checkpoint(tensors, {}, {"step": 30}))
    return run


def test_the_newest_is_read(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    found = read_newest(run)
    assert found is not None and found[0] == found[1].state["step"] == 30
    assert torch.equal(found[1].optimizer["a/m"], torch.full((40,), 30.0))
    assert capsys.readouterr().err == ""


def test_a_run_without_checkpoints_has_no_newest(tmp_path: Path) -> None:
    assert read_newest(RunDirectory(tmp_path)) is None


@FILES
@DAMAGES
def test_the_one_before_a_damaged_one_is_used(
    run: RunDirectory, capsys: pytest.CaptureFixture[str], name: str, damage: Callable[[Path], None]
) -> None:
    damage(run.checkpoint(30) / name)
    rest = {file.name: file.read_bytes() for file in run.checkpoint(30).iterdir()}
    found = read_newest(run)
    assert found is not None and found[0] == found[1].state["step"] == 20
    errors = capsys.readouterr().err
    assert f"{run.checkpoint(30) / name} is" in errors and "damaged" in errors
    assert f"set aside as {run.checkpoints / 'damaged-step-00000030'}" in errors
    assert f"continuing from {run.checkpoint(20)}" in errors
    assert run.steps() == [10, 20] and "30" not in run.names()
    aside = run.checkpoints / "damaged-step-00000030"
    assert {file.name: file.read_bytes() for file in aside.iterdir()} == rest


def test_a_checkpoint_that_is_damaged_again_has_a_place_too(run: RunDirectory) -> None:
    for _ in range(2):
        flip(run.checkpoint(30) / WEIGHTS)
        assert read_newest(run) is not None
        shutil.copytree(run.checkpoint(20), run.checkpoint(30))
    names = sorted(path.name for path in run.checkpoints.iterdir() if path.name.startswith("damaged"))
    assert names == ["damaged-step-00000030", "damaged-step-00000030-2"]


def test_where_none_is_whole_nothing_is_touched_and_the_way_out_is_said(run: RunDirectory) -> None:
    for step in run.steps():
        flip(run.checkpoint(step) / OPTIMIZER)
    before = sorted(run.root.rglob("*"))
    # Nor is it forgotten at the second attempt.
    for _ in range(2):
        with pytest.raises(CheckpointError, match="none of the checkpoints .* is intact.*step-00000030.*step-00000010"):
            read_newest(run)
    with pytest.raises(CheckpointError, match=f"Put one back .* or delete {run.checkpoints} to train from the beginn"):
        read_newest(run)
    assert sorted(run.root.rglob("*")) == before


def test_damaged_final_weights_count_as_none(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    final = read_final(run)
    assert final is not None and final.state == {"step": 30}
    truncate(run.models / "final" / WEIGHTS)
    assert read_final(run) is None
    assert f"{run.models / 'final' / WEIGHTS} is damaged" in capsys.readouterr().err
    assert run.names() == ["10", "20", "30"]
    assert read_final(run) is None


def test_all_that_is_damaged_is_set_aside_before_an_average(run: RunDirectory) -> None:
    flip(run.checkpoint(10) / WEIGHTS)
    flip(run.checkpoint(20) / OPTIMIZER)
    set_aside_damaged(run)
    assert run.steps() == [30]
    assert sorted(path.name for path in run.checkpoints.glob("damaged-*")) == [
        "damaged-step-00000010",
        "damaged-step-00000020",
    ]


def test_later_commands_name_what_is_damaged_and_what_to_use_instead(tiny_run: Path, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    shutil.copytree(tiny_run, run.root)
    final = run.models / "final"
    flip(final / WEIGHTS)
    with pytest.raises(CheckpointError, match=f"{final / WEIGHTS} is damaged.*; repeat the `translator train` command"):
        load_bundle(run.root)
    shutil.copytree(tiny_run / "models" / "final", run.checkpoint(12))
    with pytest.raises(CheckpointError, match=r"choose other weights with --weights \(12\), or repeat"):
        load_bundle(run.root)
    assert final.is_dir()
    assert load_bundle(run.root, weights="12").step == read_checkpoint(run.checkpoint(12)).state["step"]


def test_what_is_no_checkpoint_is_set_aside_before_training(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(run.checkpoint(10))
    run.checkpoint(10).write_text("mine")
    shutil.rmtree(run.models / "final")
    (run.models / "final").symlink_to("nowhere")
    found = read_newest(run)
    assert found is not None and found[0] == 30
    assert run.steps() == [20, 30]
    assert read_final(run) is None and (run.models / "damaged-final").is_symlink()
    assert run.checkpoint(10).with_name("damaged-step-00000010").read_text() == "mine"
    errors = capsys.readouterr().err
    assert str(run.checkpoint(10)) in errors and str(run.models / "final") in errors


def test_a_missing_newest_checkpoint_is_noticed_by_the_final_model(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    warn_of_missing(run)
    assert capsys.readouterr().err == ""
    shutil.rmtree(run.checkpoint(30))
    warn_of_missing(run)
    errors = capsys.readouterr().err
    assert f"{run.checkpoint(30)}, is missing; the newest is {run.checkpoint(20)}" in errors
    shutil.rmtree(run.checkpoints)
    warn_of_missing(run)
    assert "is missing; there is none at all" in capsys.readouterr().err


def test_other_weights_than_the_final_ones_are_not_taken_silently(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    shutil.copytree(run.models / "final", run.checkpoint(12))
    load_bundle(run.root)
    assert capsys.readouterr().err == ""
    shutil.rmtree(run.models / "final")
    assert load_bundle(run.root).weights == "step-00000012"
    assert f"no final weights in {run.models}; using its best checkpoint, step-00000012" in capsys.readouterr().err
    (run.models / "final").symlink_to("nowhere")
    with pytest.raises(CheckpointError, match="final is a link to nothing; put the directory back"):
        load_bundle(run.root)
    assert load_bundle(run.root, weights="12").weights == "step-00000012"
    shutil.rmtree(run.models)
    run.models.write_text("")
    with pytest.raises(CheckpointError, match="models is not a directory"):
        load_bundle(run.root)
