"""A run that somebody else made has nothing written outside of it, whatever links it holds."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from translator.checkpoints import Checkpoint, RunDirectory, read_checkpoint, write_checkpoint

Program = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a run, next to what must not change; texts are in the working directory."""
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns("exports"))
    weights = read_checkpoint(run / "models" / "final").weights
    write_checkpoint(RunDirectory(run).checkpoint(10), Checkpoint(weights, {}, {"step": 10}))
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    (tmp_path / "text").write_text("a dog runs.\nthe cat sleeps.\n")
    (run / "metrics.jsonl").write_text('{"kind": "train", "step": 1, "time": 1.0, "loss": 2.0, "nll": 2.0}\n')
    return run


EVALUATE = ("evaluate", "run", "--source", "text", "--reference", "text")
EXPORT = ("translate", "run", "text", "--engine", "ctranslate2")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        (".scores.json.partial", EVALUATE),
        ("hypotheses", EVALUATE),
        ("scores.json", EVALUATE),
        ("exports", EXPORT),
        ("models", ("average", "run")),
        ("models/average", ("average", "run")),
        ("models/.average.partial", ("average", "run")),
        ("plot.png", ("plot", "run")),
        (".plot.png.partial", ("plot", "run")),
    ],
)
@pytest.mark.parametrize("to", ["file", "directory"])
def test_no_link_of_a_run_is_written_through(
    run: Path, tmp_path: Path, call_program: Program, name: str, command: tuple[str, ...], to: str
) -> None:
    link, precious = run / name, tmp_path / "precious"
    if name == "models":
        shutil.copytree(link, precious / "models")
        shutil.rmtree(link)
        link.symlink_to(precious / "models")
    elif name == "scores.json" and to == "file":
        (precious / "file").write_text("[]")
        link.symlink_to(precious / "file")
    else:
        link.symlink_to(precious / "file" if to == "file" else precious)
    before = {path: path.read_bytes() for path in precious.rglob("*") if path.is_file()}
    _, _, errors = call_program(*command)
    assert "Traceback" not in errors
    assert before == {path: path.read_bytes() for path in precious.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["checkpoints", "models", "metrics.jsonl", "tensorboard", "prepared"])
def test_training_refuses_links_that_lead_out_of_the_run(
    run: Path, tmp_path: Path, call_program: Program, name: str
) -> None:
    link = run / name
    if link.is_dir():
        shutil.rmtree(link)
    link.unlink(missing_ok=True)
    link.symlink_to(tmp_path / "precious" / ("file" if name == "metrics.jsonl" else "."))
    code, _, errors = call_program("train", "data.train=[text,text]", f"run={run}")
    assert code == 1 and f"{link} is a link that leads out of {run}" in errors
    assert [path.name for path in (tmp_path / "precious").iterdir()] == ["file"]
    assert (tmp_path / "precious" / "file").read_text() == "mine"
