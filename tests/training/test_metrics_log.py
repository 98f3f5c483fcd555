"""Metrics of a run: what is written comes back, also after kills, and TensorBoard shows the same curves."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from translator.errors import ConfigError, DataError
from translator.training.metrics_log import MetricsLog, read_metrics

BLEU = {"name": "BLEU", "value": 12.5, "signature": "nrefs:1|case:mixed|version:2.6.0"}
SAMPLE = {"source": "a *dog*", "reference": "ein Hund", "translation": "ein\u2028Hund | <b>"}


def figures(path: Path, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(line.get(name) for name in names) for line in read_metrics(path)]


def read_events(directory: Path) -> tuple[EventAccumulator, dict[str, list[tuple[int, float]]]]:
    """Read event files as TensorBoard does: everything, and the points of every curve."""
    found = EventAccumulator(str(directory)).Reload()
    tags = [t for t in found.Tags()["tensors"] if found.SummaryMetadata(t).plugin_data.plugin_name == "scalars"]
    return found, {tag: [(e.step, float(make_ndarray(e.tensor_proto))) for e in found.Tensors(tag)] for tag in tags}


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.write("train", step=50, loss=3.5, nll=2.0, skipped=0)
    log.write("valid", step=50, scores=[BLEU], samples=[SAMPLE])
    train, valid = read_metrics(log.path)
    assert train.pop("time") <= valid.pop("time")
    assert train == {"kind": "train", "step": 50, "loss": 3.5, "nll": 2.0, "skipped": 0, "perplexity": math.exp(2.0)}
    assert valid == {"kind": "valid", "step": 50, "scores": [BLEU], "samples": [SAMPLE]}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_every_line_is_json(tmp_path: Path, value: float) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.write("train", step=1, nll=value, nested=[{"value": value}])

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    line = json.loads(log.path.read_text(), parse_constant=refuse)
    assert (line["nll"], line["nested"]) == (None, [{"value": None}])


@pytest.mark.parametrize("cut", range(1, 24))
def test_a_killed_run_cannot_spoil_the_next_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], cut: int) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.write("train", step=1)
    log.write("train", step=2, note="ü")
    log.path.write_bytes(log.path.read_bytes()[:-cut])
    before = figures(log.path, "step")
    # Only the line feed is missing from a line that is cut by one byte.
    assert before == ([(1,), (2,)] if cut == 1 else [(1,)])
    MetricsLog(log.path).write("train", step=3)
    assert figures(log.path, "step") == [*before, (3,)]
    assert capsys.readouterr().err == "", "it is no damage that a run was killed"
    assert all(json.loads(line) for line in log.path.read_text().splitlines())


def test_a_damaged_line_is_named_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"kind": "train", "step": 1}\n{"kind": "tra\n[]\n{"kind": "train", "step": 3}\n')
    assert figures(path, "step") == [(1,), (3,)]
    warnings = capsys.readouterr().err
    assert "line 2 is damaged" in warnings and "line 3 is damaged" in warnings


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"metrics\.jsonl cannot be read"):
        read_metrics(tmp_path / "metrics.jsonl")


def test_repeated_steps_count_once(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.continue_after(0)
    for step in (1, 2, 3, 4):
        log.write("train", step=step, sitting=1)
    log.write("valid", step=4, sitting=1)
    log.write("valid_average", sitting=1)
    resumed = MetricsLog(log.path)
    resumed.continue_after(2)
    assert len(read_metrics(log.path)) == 6, "a run that does nothing more must not change its file"
    resumed.write("train", step=3, sitting=2)
    assert figures(log.path, "kind", "step", "sitting") == [
        ("train", 1, 1), ("train", 2, 1), ("valid_average", None, 1), ("resume", 2, None), ("train", 3, 2),
    ]  # fmt: skip


def test_of_lines_for_one_step_the_last_counts(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    for step, loss in ((1, 0.1), (2, 0.2), (2, 0.3)):
        log.write("train", step=step, loss=loss)
    log.write("valid", step=2, loss=0.4)
    assert figures(log.path, "kind", "step", "loss") == [("train", 1, 0.1), ("train", 2, 0.3), ("valid", 2, 0.4)]


def test_tensorboard_shows_the_same(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl", tmp_path / "tensorboard")
    log.write("train", step=50, nll=2.0, skipped=0, note="text", gradient_norm=math.nan)
    log.write("valid", step=50, loss=3.25, scores=[BLEU], samples=[SAMPLE])
    # Read before the log is closed: a killed run must lose nothing.
    found, curves = read_events(tmp_path / "tensorboard")
    log.close()
    assert curves == {
        "train/nll": [(50, 2.0)],
        "train/skipped": [(50, 0.0)],
        "train/perplexity": [(50, pytest.approx(math.exp(2.0)))],
        "valid/loss": [(50, 3.25)],
        "valid/BLEU": [(50, 12.5)],
    }
    assert BLEU["signature"] in found.SummaryMetadata("valid/BLEU").summary_description
    (text,) = found.Tensors("valid/samples/text_summary")
    lines = text.tensor_proto.string_val[0].decode().split("\n")
    assert lines == [f"    {name:<11}  {value}" for name, value in SAMPLE.items()]


def test_tensorboard_shows_one_curve_of_a_resumed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorboard.summary.writer import event_file_writer

    # Event files are read in the order of their names, which end in a count of the process.
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))
    directory = tmp_path / "tensorboard"
    log = MetricsLog(tmp_path / "metrics.jsonl", directory)
    for step in (1, 2, 3, 4):
        log.write("train", step=step, loss=1.0)
    log.write("valid", step=4, scores=[BLEU])
    resumed = MetricsLog(log.path, directory)
    resumed.continue_after(2)
    resumed.write("train", step=3, loss=2.0)
    _, curves = read_events(directory)
    assert curves == {"train/loss": [(1, 1.0), (2, 1.0), (3, 2.0)], "valid/BLEU": []}
    resumed.continue_after(2)
    resumed.write("train", step=3, loss=3.0)
    resumed.write("valid_average", loss=4.0)
    _, curves = read_events(directory)
    assert curves["train/loss"] == [(1, 1.0), (2, 1.0), (3, 3.0)]
    assert curves["valid_average/loss"] == [(3, 4.0)]
    resumed.close()
    log.close()


def test_a_missing_tensorboard_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match="pip install tensorboard"):
        MetricsLog(tmp_path / "metrics.jsonl", tmp_path / "tensorboard")
    MetricsLog(tmp_path / "metrics.jsonl").write("train", step=1)
