"""Pictures of runs: every figure at its step, nothing that a run has not, plain words where nothing can be drawn."""

import json
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from translator.errors import DataError, TranslatorError
from translator.training.metrics_log import MetricsLog
from translator.training.plot import plot_runs

SIGNATURE = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"


def write_run(run: Path, steps: int = 4, validations: bool = True, signature: str = SIGNATURE) -> Path:
    run.mkdir(parents=True)
    log = MetricsLog(run / "metrics.jsonl")
    for step in range(1, steps + 1):
        log.write(
            "train", step=step, loss=5.0 / step, nll=4.0 / step, learning_rate=0.1 * step, gradient_norm=2.0 + step,
            tokens_per_second=1000.0 * step,
        )  # fmt: skip
        if validations and step % 2 == 0:
            scores = [{"name": "BLEU", "value": 3.0 * step, "signature": signature}]
            log.write("valid", step=step, loss=6.0 / step, nll=5.0 / step, scores=scores)
    log.write("valid_average", loss=1.0, nll=1.0, scores=[])
    return run


def curves(figure: Figure) -> dict[str, list[list[tuple[float, float]]]]:
    """The points of every curve, by the title of its panel."""
    return {
        axes.get_title(loc="left"): [list(map(tuple, line.get_xydata())) for line in axes.lines]  # type: ignore[arg-type]
        for axes in figure.get_axes()
    }


def test_every_figure_stands_at_its_step(tmp_path: Path, figures: list[Figure]) -> None:
    plot_runs([write_run(tmp_path / "run")], tmp_path / "plot.png")
    steps = (1, 2, 3, 4)
    assert curves(figures[0]) == {
        "Loss": [[(s, 5.0 / s) for s in steps], [(2, 3.0), (4, 1.5)], [(s, 4.0 / s) for s in steps]],
        "Scores on the validation set": [[(2, 6.0), (4, 12.0)]],
        "Learning rate": [[(s, 0.1 * s) for s in steps]],
        "Speed": [[(s, 1000.0 * s) for s in steps]],
        "Gradient norm": [[(s, 2.0 + s) for s in steps]],
    }


@pytest.mark.parametrize(
    ("by", "label", "positions"),
    [
        ("tokens", "target tokens", [1200.0, 4800.0, 3000.0]),
        # 1,200 tokens at 10 a second are 2 minutes, 3,600 at 20 a second another 3; the validation is half-way there.
        ("minutes", "minutes of training", [2.0, 5.0, 3.5]),
    ],
)
def test_runs_are_compared_by_tokens_and_minutes(
    tmp_path: Path, figures: list[Figure], by: str, label: str, positions: list[float]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    log = MetricsLog(run / "metrics.jsonl")
    log.write("train", step=10, loss=3.0, nll=3.0, target_tokens=1200, tokens_per_second=10.0)
    log.write("valid", step=20, loss=2.5, nll=2.5)
    log.write("train", step=30, loss=2.0, nll=2.0, target_tokens=4800, tokens_per_second=20.0)
    plot_runs([run], tmp_path / "plot.png", by=by)
    losses = curves(figures[0])["Loss"]
    assert losses[0] == [(positions[0], 3.0), (positions[1], 2.0)]
    assert losses[1] == [(positions[2], 2.5)]
    assert {axes.get_xlabel() for axes in figures[0].get_axes()} == {label}


def test_a_run_without_training_figures_has_no_minutes(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    MetricsLog(tmp_path / "run" / "metrics.jsonl").write("valid", step=2, loss=1.0, nll=1.0)
    with pytest.raises(DataError, match="run has no training figures to compute minutes from; draw it by step"):
        plot_runs([tmp_path / "run"], tmp_path / "plot.png", by="minutes")


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf", ".PNG"])
def test_the_file_is_what_its_name_says(tmp_path: Path, ending: str) -> None:
    file = plot_runs([write_run(tmp_path / "my_$run$")], tmp_path / "new" / f"plot{ending}")
    content = file.read_bytes()
    if ending == ".svg":
        for words in ("Loss", "Learning rate", f"BLEU: sacreBLEU {SIGNATURE}", ">my_$run$</text>"):
            assert words in content.decode()
    elif ending == ".pdf":
        assert content.startswith(b"%PDF")
    else:
        assert min(imread(file).shape[:2]) > 500


def test_runs_are_laid_over_each_other(tmp_path: Path, figures: list[Figure]) -> None:
    runs = [write_run(tmp_path / "one", steps=4), write_run(tmp_path / "_two", steps=6)]
    file = plot_runs(runs, tmp_path / "plot.svg")
    found = curves(figures[0])
    assert [len(points) for points in found["Loss"]] == [4, 6, 2, 3, 4, 6]
    assert [len(points) for points in found["Speed"]] == [4, 6]
    speed = figures[0].get_axes()[3]
    assert speed.get_title(loc="left") == "Speed"
    colours = [line.get_color() for line in speed.lines]
    (legend,) = (legend for part in figures[0].subfigs for legend in part.legends)
    assert [(text.get_text(), line.get_color()) for text, line in zip(legend.texts, legend.get_lines(), strict=True)] \
        == [("one", colours[0]), ("./_two", colours[1])]  # fmt: skip
    assert len(set(colours)) == 2
    assert file.read_text().count(SIGNATURE) == 1


@pytest.mark.parametrize("count", [7, 8, 20])
def test_many_runs_have_different_colours(tmp_path: Path, figures: list[Figure], count: int) -> None:
    plot_runs([write_run(tmp_path / f"{number}" / "run") for number in range(count)], tmp_path / "plot.png")
    speed = figures[0].get_axes()[3]
    assert len({str(line.get_color()) for line in speed.lines}) == count
    (legend,) = (legend for part in figures[0].subfigs for legend in part.legends)
    # Runs of one name are told apart by their path.
    assert len({text.get_text() for text in legend.texts}) == count


def test_scores_that_cannot_be_compared_are_named(tmp_path: Path) -> None:
    other = SIGNATURE.replace("tok:13a", "tok:none")
    runs = [write_run(tmp_path / "raw"), write_run(tmp_path / "tokenised", signature=other)]
    text = plot_runs(runs, tmp_path / "plot.svg").read_text()
    assert "do not compare" in text
    assert f"raw: sacreBLEU {SIGNATURE}" in text and f"tokenised: sacreBLEU {other}" in text


def test_a_run_without_validations_has_no_panel_for_scores(tmp_path: Path, figures: list[Figure]) -> None:
    plot_runs([write_run(tmp_path / "run", validations=False)], tmp_path / "plot.png")
    found = curves(figures[0])
    assert list(found) == ["Loss", "Learning rate", "Speed", "Gradient norm"]
    assert len(found["Loss"]) == 2


def test_a_loss_that_is_no_number_leaves_a_gap(tmp_path: Path, figures: list[Figure]) -> None:
    run = write_run(tmp_path / "run", steps=3)
    log = MetricsLog(run / "metrics.jsonl")
    log.write("train", step=4, loss=float("nan"))
    log.write("train", step=5, loss=1.0)
    plot_runs([run], tmp_path / "plot.png")
    smoothed = curves(figures[0])["Loss"][0]
    assert [step for step, _ in smoothed] == [1, 2, 3, 4, 5]
    assert [value != value for _, value in smoothed] == [False, False, False, True, False]


def test_what_cannot_be_drawn_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no metrics\.jsonl; expected a run"):
        plot_runs([tmp_path], tmp_path / "plot.png")
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"kind": "resume", "step": 0}) + "\n")
    with pytest.raises(DataError, match="has no figures yet"):
        plot_runs([tmp_path], tmp_path / "plot.png")
    run = write_run(tmp_path / "run")
    with pytest.raises(DataError, match=r"ends in \.png, \.svg, \.pdf"):
        plot_runs([run], tmp_path / "plot.gif")
    with pytest.raises(TranslatorError, match="cannot be written .* --output"):
        plot_runs([run], tmp_path / "metrics.jsonl" / "plot.png")


def test_a_missing_matplotlib_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(TranslatorError, match="pip install matplotlib"):
        plot_runs([write_run(tmp_path / "run")], tmp_path / "plot.png")
