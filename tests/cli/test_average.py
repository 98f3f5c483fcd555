"""Averaged weights get a name of their own, and replace nothing but averaged weights."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from translator.checkpoints import Checkpoint, RunDirectory, read_checkpoint, write_checkpoint

Program = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, tiny_run: Path) -> Path:
    """A run with two checkpoints, next to a directory of somebody else."""
    run = tmp_path / "runs" / "run"
    shutil.copytree(tiny_run, run)
    weights = read_checkpoint(run / "models" / "final").weights
    for step in (10, 20):
        write_checkpoint(RunDirectory(run).checkpoint(step), Checkpoint(weights, {}, {"step": step}))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").write_text("years of work")
    return run


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "name",
    [
        "THESIS", "../checkpoints", ".", "..", "", " ", "../../run", "../../../thesis", "a/b", "a\\b", "a:b", ".hidden",
        "last", "best", "LAST", "final", "10", "٣", "step-00000010", "damaged-x", "-x", "a\nb", "a\x1bb", "x" * 101,
    ],
)  # fmt: skip
def test_a_name_is_one_part_of_a_path_and_means_no_other_weights(
    run: Path, tmp_path: Path, call_program: Program, name: str
) -> None:
    name = str(tmp_path / "thesis") if name == "THESIS" else name
    before = content(tmp_path)
    code, printed, errors = call_program("average", run, f"--name={name}")
    assert (code, printed) == (1, "")
    assert "--name: found" in errors and "expected" in errors
    assert content(tmp_path) == before


def test_averaged_weights_replace_averaged_weights(run: Path, call_program: Program) -> None:
    assert call_program("average", run, "--name", "mean", "--last", "1")[0] == 0
    code, printed, errors = call_program("average", run, "--name", "mean")
    assert code == 0 and "average of step-00000010, step-00000020" in printed, errors
    assert sorted(path.name for path in (run / "models").iterdir()) == ["final", "mean"]


def test_steps_may_be_in_any_order_and_the_newest_names_the_result(run: Path, call_program: Program) -> None:
    words = ["--step", "20", "--step", "10", "--step", "20"]
    code, printed, errors = call_program("average", run, *words)
    assert code == 0 and "average of step-00000010, step-00000020" in printed, errors
    assert read_checkpoint(run / "models" / "average").state["step"] == 20
    code, _, errors = call_program("average", run, "--best", "1", "--step", "10")
    assert code == 2 and "--best and --step each name checkpoints" in " ".join(errors.split())


def test_the_newest_are_those_that_were_validated(run: Path, call_program: Program) -> None:
    directory = RunDirectory(run)
    weights = read_checkpoint(directory.checkpoint(20)).weights
    history = [{"step": step, "loss": 1.0, "bleu": 0.0, "chrf": 0.0} for step in (10, 20)]
    write_checkpoint(directory.checkpoint(23), Checkpoint(weights, {}, {"step": 23, "history": history}))
    code, printed, errors = call_program("average", run, "--last", "2")
    assert code == 0 and "average of step-00000010, step-00000020" in printed, errors


@pytest.mark.parametrize("stranger", ["notes.txt", "notes/today.txt", "model.safetensors/x", "only"])
def test_a_directory_with_files_of_others_is_not_replaced(run: Path, call_program: Program, stranger: str) -> None:
    place = run / "models" / "mean"
    if stranger == "only":
        place.mkdir()
        (place / "model.safetensors").write_text("of another program")
    else:
        assert call_program("average", run, "--name", "mean")[0] == 0
        file = place / stranger
        if file.parent.is_file():
            file.parent.unlink()
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine")
    before = content(run)
    code, _, errors = call_program("average", run, "--name", "mean")
    assert code == 1 and f"{place} holds what we did not write" in errors
    assert content(run) == before
