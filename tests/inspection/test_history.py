"""Heads through a training: every checkpoint is measured, and curves are those of the reports."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from translator.checkpoints import RunDirectory, read_checkpoint, write_checkpoint
from translator.config import Head
from translator.inspection import inspect_heads, read_pairs
from translator.inspection.history import FIGURES, figure_of, inspect_checkpoints
from translator.inspection.history_pictures import write_histories
from translator.translation import Translator

Program = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A run with three checkpoints, whose weights differ."""
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    final = read_checkpoint(run / "models" / "final", with_optimizer=False)
    for step in (2, 5, 9):
        weights = {name: tensor * (1 + 0.1 * step) for name, tensor in final.weights.items()}
        state = {**final.state, "step": step}
        write_checkpoint(RunDirectory(run).checkpoint(step), replace(final, weights=weights, state=state))
    return run


@pytest.fixture
def texts(tmp_path: Path) -> tuple[Path, Path, Path]:
    for name, text in (
        ("source", "a dog sleeps.\nthe red house\n"), ("target", "the dog reads.\non the street\n"),
        ("links", "0-0 1-1\n0-1\n"),
    ):  # fmt: skip
        (tmp_path / name).write_text(text)
    return tmp_path / "source", tmp_path / "target", tmp_path / "links"


def test_every_checkpoint_is_measured(run: Path, texts: tuple[Path, Path, Path], figures: list[Figure]) -> None:
    source, target, links = texts
    history = inspect_checkpoints(run, source, target, alignment=links)
    assert history.steps == [2, 5, 9]
    translator = Translator.load(run, engine="native", weights="5")
    report = inspect_heads(translator, read_pairs(translator.bundle, source, target))
    assert [each.importance for each in history.reports[1].heads] == [each.importance for each in report.heads]
    assert len({each.loss for each in history.reports}) == 3
    head = Head("cross", 1, 2)
    assert history.curve(head, "alignment") == [history.reports[i].heads[-1].aligned for i in range(3)]
    assert history.curve(Head("encoder", 1, 1), "alignment") is None

    other = replace(history, reports=history.reports[:2])
    write_histories([history, other], run.parent / "heads.png")
    drawn = [axes for axes in figures[0].get_axes() if axes.get_visible()]
    assert len(drawn) == 2 * (1 + 3 + 3)  # alignment is that of cross-attention alone
    lines = [list(line.get_ydata()) for axes in drawn for line in axes.lines]
    expected = [
        history.curve(each, name)[:length]  # type: ignore[index]
        for each in history.heads
        for name in FIGURES
        if history.curve(each, name) is not None
        for length in (3, 2)
    ]
    assert sorted(lines) == sorted(expected)
    scales = {
        name: {axes.get_ylim() for axes in drawn if axes.get_ylabel() == label} for name, label in FIGURES.items()
    }
    assert {name: len(found) for name, found in scales.items()} == dict.fromkeys(FIGURES, 1)


def test_without_a_known_alignment_the_picture_names_another_share(
    run: Path, texts: tuple[Path, Path, Path], figures: list[Figure]
) -> None:
    for links in (texts[2], None):
        write_histories([inspect_checkpoints(run, *texts[:2], alignment=links)], run.parent / "heads.png")
    labels = [{axes.get_ylabel() for axes in figure.get_axes()} for figure in figures]
    shares = {"share on the right word", "share of the target's information"}
    assert [each & shares for each in labels] == [{name} for name in sorted(shares, reverse=True)]


def test_the_command_prints_a_table_and_writes_curves(
    run: Path, texts: tuple[Path, Path, Path], call_program: Program
) -> None:
    source, target, _ = texts
    out_file = run.parent / "heads.json"
    words: list[Any] = ["--source", source, "--reference", target, "--checkpoints", "--output", out_file]
    code, out, errors = call_program("heads", run, *words, "--beside", run)
    assert code == 0, errors
    assert out.count("3 checkpoints") == 2
    first, second = json.loads(out_file.read_text())
    assert first == second and first["steps"] == [2, 5, 9]
    curve = first["heads"]["cross.1.1"]["entropy"]
    assert f"{curve[0]:.2f} > {curve[-1]:.2f}" in out
    assert set(first["heads"]["encoder.1.1"]) == {"entropy", "importance"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--checkpoints", "--bleu"), "leave out --bleu"),
        (("--beside", "other"), "expected --checkpoints"),
        (("--checkpoints",), "has 0 checkpoints, expected at least two; train with training.keep_every=N"),
    ],
)
def test_what_cannot_be_followed_is_explained(
    tiny_run: Path, texts: tuple[Path, Path, Path], call_program: Program, words: tuple[str, ...], message: str
) -> None:
    code, _, errors = call_program("heads", tiny_run, "--source", texts[0], "--reference", texts[1], *words)
    assert code in (1, 2) and message in errors


def test_alignment_without_a_known_one_is_information(run: Path, texts: tuple[Path, Path, Path]) -> None:
    source, target, _ = texts
    report = inspect_checkpoints(run, source, target).reports[0].heads[-1]
    assert figure_of(report, "alignment") == report.information is not None
