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
    "threads=1", "training.batch_tokens=80", "training.validate_every=20", "training.validation_sentences=1", "training.validation_samples=0",
    "training.average_last=1", "training.log_every=500", "decoding.max_length_factor=0", "decoding.max_length_extra=1",
)  # fmt: skip
EVERYTHING = (
    *PLAIN, "training.accumulate=2", "training.ema_decay=0.99", "training.subword_sampling=0.1", "training.r_drop=1",
)  # fmt: skip
# Calls that change the disk in one save: the directory, two tensor files, synced and renamed, and an old one removed.
CALLS_OF_A_SAVE = 14


def plan_deaths(count: int, steps: int, every: int, seed: int) -> list[dict[str, Any] | None]:
    """Deaths spread over a run that saves `every` so many steps, every other one inside a save; then none."""
    draw = random.Random(seed)
    saves, moments = draw.sample(range(1, steps // every), count), []
    for index, save in enumerate(sorted(saves)):
        if index % 2:
            moments.append({"step": save * every, "call": draw.randrange(CALLS_OF_A_SAVE)})
        else:
            moments.append({"step": save * every - draw.randrange(every), "seconds": draw.uniform(0.0, 0.03)})
    return [*moments, None]


def live(settings: Path, run: Path, overrides: tuple[str, ...], deaths: list[dict[str, Any] | None]) -> list[Any]:
    """Let one process after another train `run` until its death; return what each left."""
    program = [sys.executable, Path(__file__).with_name("lives.py"), settings, run, *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(translator.__file__).parents[1])}
    result = subprocess.run(
        program, input=json.dumps(deaths), capture_output=True, text=True, env=environment, timeout=300
    )
    assert result.returncode == 0, result.stderr[-3000:]
    lives = [json.loads(line) for line in result.stdout.splitlines()]
    assert [life["code"] for life in lives] == [-signal.SIGKILL] * (len(deaths) - 1) + [0], result.stderr[-3000:]
    return lives


@pytest.mark.parametrize(("steps", "kills", "overrides"), [(2000, 24, PLAIN), (600, 20, EVERYTHING)])
def test_killed_at_any_moment_the_weights_are_bit_equal(
    settings_file: Path, steps: int, kills: int, overrides: tuple[str, ...]
) -> None:
    overrides = (*overrides, f"training.max_steps={steps}", f"data.prepared={settings_file.parent / 'prepared'}")
    whole, killed = RunDirectory(settings_file.parent / "whole"), RunDirectory(settings_file.parent / "killed")
    live(settings_file, whole.root, overrides, [None])
    lives = live(settings_file, killed.root, overrides, plan_deaths(kills, steps, every=20, seed=1))
    assert sum(any(name.startswith(".step-") for name in life["left"]) for life in lives[:-1]) >= 5
    assert not any(name.startswith(".") for name in lives[-1]["left"])
    assert killed.steps() == whole.steps()
    for step in whole.steps():
        expected, found = read_checkpoint(whole.checkpoint(step)), read_checkpoint(killed.checkpoint(step))
        for mine, reference in ((found.weights, expected.weights), (found.optimizer, expected.optimizer)):
            assert mine.keys() == reference.keys()
            assert all(torch.equal(mine[name], reference[name]) for name in reference)
        assert {**found.state, "seconds": 0} == {**expected.state, "seconds": 0}
    assert expected.state["epoch"] > 10
