"""A training that is killed again and again ends with the bits of one that was left alone."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import translator
from translator.checkpoints import RunDirectory, read_checkpoint

PLAIN = (
    "threads=1", "training.batch_tokens=80", "training.validation_sentences=1", "training.validation_samples=0",
    "training.average_last=1", "training.log_every=500", "decoding.max_length_factor=0", "decoding.max_length_extra=1",
)  # fmt: skip
EVERYTHING = (
    *PLAIN, "training.accumulate=2", "training.ema_decay=0.99", "training.subword_sampling=0.1", "training.r_drop=1",
    "augmentation.merge=0.2", "augmentation.typos=0.3",
)  # fmt: skip
# Calls that change the disk in one save: the directory, two tensor files, synced and renamed, and an old one removed.
CALLS_OF_A_SAVE = 14


def plan_deaths(count: int, steps: int, every: int, seed: int) -> list[dict[str, Any] | None]:
    """Deaths spread over a run that saves after `every` steps, every other one inside a save; then none."""
    draw = random.Random(seed)
    saves, moments = draw.sample(range(1, steps // every), count), []
    for index, save in enumerate(sorted(saves)):
        if index % 2:
            moments.append({"step": save * every, "call": draw.randrange(CALLS_OF_A_SAVE)})
        else:
            moments.append({"step": save * every - draw.randrange(every), "seconds": draw.uniform(0.0, 0.03)})
    return [*moments, None]


def live(settings: Path, trainings: list[dict[str, Any]]) -> list[Any]:
    """Let processes do the trainings until their deaths; return what each of the killed ones left."""
    program = [sys.executable, Path(__file__).with_name("lives.py"), settings]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(translator.__file__).parents[1])}
    result = subprocess.run(
        program, input=json.dumps(trainings), capture_output=True, text=True, env=environment, timeout=600
    )
    assert result.returncode == 0, result.stderr[-3000:]
    lives = [life for lives in json.loads(result.stdout) for life in lives]
    deaths = [death for training in trainings for death in training["deaths"]]
    codes = [-signal.SIGKILL if death else 0 for death in deaths]
    assert [life["code"] for life in lives] == codes, result.stderr[-3000:]
    return [life["left"] for life in lives if life["code"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "every", "kills", "overrides"), [(1000, 40, 24, PLAIN), (220, 10, 20, EVERYTHING)], ids=["plain", "all"]
)
def test_killed_at_any_moment_the_weights_are_bit_equal(
    settings_file: Path, steps: int, every: int, kills: int, overrides: tuple[str, ...]
) -> None:
    directory = settings_file.parent
    whole, killed = RunDirectory(directory / "whole"), RunDirectory(directory / "killed")
    plan = [
        f"training.max_steps={steps}",
        f"training.validate_every={every}",
        f"data.prepared={directory / 'prepared'}",
    ]
    trainings: list[dict[str, Any]] = [
        {"run": str(whole.root), "deaths": [None]},
        {"run": str(killed.root), "deaths": plan_deaths(kills, steps, every, seed=1)},
    ]
    left = live(settings_file, [{**training, "overrides": [*overrides, *plan]} for training in trainings])
    # Some died inside a save.
    assert len(left) == kills and sum(any(name.startswith(".step-") for name in names) for names in left) >= 5
    assert not any(path.name.startswith(".") for path in killed.checkpoints.iterdir())
    assert killed.steps() == whole.steps()
    for step in whole.steps():
        expected, found = read_checkpoint(whole.checkpoint(step)), read_checkpoint(killed.checkpoint(step))
        for mine, reference in ((found.weights, expected.weights), (found.optimizer, expected.optimizer)):
            assert mine.keys() == reference.keys()
            assert all(torch.equal(mine[name], reference[name]) for name in reference)
        assert {**found.state, "seconds": 0} == {**expected.state, "seconds": 0}
    assert expected.state["epoch"] > 10
