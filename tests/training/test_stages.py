"""Stages: every corpus has its share in each, a stage begins with an epoch of its own, and resuming changes nothing."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from translator.checkpoints import RunDirectory, read_checkpoint
from translator.config import load_config
from translator.errors import ConfigError
from translator.training import train
from translator.training.trainer import Trainer

FIRST = 70
"""Pairs of the first corpus, which come first in the data."""


@pytest.fixture
def two_corpora(settings_file: Path) -> Path:
    folder = settings_file.parent
    for language in ("en", "de"):
        text = (folder / f"train.{language}").read_text()
        (folder / f"extra.{language}").write_text("".join(f"{line} !\n" for line in text.splitlines()[:30]))
    values = settings_file.read_text().replace(
        f"train: {folder}/train.{{en,de}}",
        f"train:\n    - path: {folder}/train.{{en,de}}\n    - path: {folder}/extra.{{en,de}}",
    )
    settings_file.write_text(values)
    return settings_file


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, np.ndarray]]:
    """The epoch and the pairs of every step."""
    steps: list[tuple[int, np.ndarray]] = []
    begin = Trainer._begin_step

    def recorded(trainer: Trainer) -> Any:
        epoch = trainer.progress.epoch
        batches, indices = begin(trainer)
        steps.append((epoch, np.concatenate(indices)))
        return batches, indices

    monkeypatch.setattr(Trainer, "_begin_step", recorded)
    return steps


def stages(*of: str) -> str:
    return f"training.stages=[{', '.join(of)}]"


def test_stages_by_steps_have_their_corpora(two_corpora: Path, seen: list[tuple[int, np.ndarray]]) -> None:
    words = [stages("{weights: [0, 1], until: 2}", "{weights: [1, 0], until: 7}", "{weights: [1, 1]}")]
    train(load_config(two_corpora, words))
    assert len(seen) == 12
    assert all((indices >= FIRST).all() for _, indices in seen[:2])
    assert all((indices < FIRST).all() for _, indices in seen[2:7])
    later = np.concatenate([indices for _, indices in seen[7:]])
    assert (later < FIRST).any() and (later >= FIRST).any()
    # A stage begins with a new epoch.
    epochs = [epoch for epoch, _ in seen]
    assert epochs[2] == epochs[1] + 1 and epochs[7] == epochs[6] + 1


def test_stages_by_epochs_have_their_corpora(two_corpora: Path, seen: list[tuple[int, np.ndarray]]) -> None:
    train(load_config(two_corpora, [stages("{weights: [0, 1], until: 1epoch}", "{weights: [1, 0]}")]))
    assert {epoch for epoch, _ in seen} >= {0, 1}
    for epoch, indices in seen:
        assert ((indices >= FIRST) == (epoch == 0)).all()


@pytest.mark.parametrize("stop", [3, 4, 5])
def test_resuming_before_in_and_after_a_change_is_exact(two_corpora: Path, stop: int) -> None:
    words = [stages("{weights: [0, 1], until: 4}", "{weights: [1, 1]}"), "training.validate_every=1"]
    whole, parts = two_corpora.parent / "whole", two_corpora.parent / "parts"
    train(load_config(two_corpora, [*words, f"run={whole}", "training.max_steps=8"]))
    train(load_config(two_corpora, [*words, f"run={parts}", f"training.max_steps={stop}"]))
    shutil.rmtree(parts / "models")
    train(load_config(two_corpora, [*words, f"run={parts}", "training.max_steps=8"]))
    first, second = (read_checkpoint(RunDirectory(run).checkpoint(8)) for run in (whole, parts))
    assert first.weights.keys() == second.weights.keys()
    assert all(torch.equal(tensor, second.weights[name]) for name, tensor in first.weights.items())
    assert first.state["position"] == second.state["position"] and first.state["epoch"] == second.state["epoch"]


@pytest.mark.parametrize(
    ("of", "message"),
    [
        (("{weights: [1, 2, 3]}",), "found 3 weights, expected 2, one for each entry of data.train"),
        (("{weights: [0, 0]}",), "all weights are 0"),
        (
            ("{weights: [1, 0], until: 20k}", "{weights: [0, 1], until: 3}", "{weights: [1, 1]}"),
            "stage 2, until: found 3, expected more than 20000",
        ),
        (
            ("{weights: [1, 0], until: 2epochs}", "{weights: [0, 1], until: 2epochs}", "{weights: [1, 1]}"),
            "stage 2, until: found 2epoch, expected more than 2epoch",
        ),
        (("{weights: [1, 0]}", "{weights: [0, 1]}"), "stage 1, until: say when it ends"),
        (("{weights: [1, 0], until: 3}",), "stage 1, until: leave it out of the last stage"),
    ],
)
def test_stages_that_contradict_the_corpora_are_refused(two_corpora: Path, of: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train(load_config(two_corpora, [stages(*of)]))
