"""Gradients that are not finite, through the real command: skipped, named, gone back from, given up on."""

import itertools
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from translator.checkpoints import RunDirectory, read_checkpoint
from translator.model import Transformer
from translator.training.update import Updater
from translator.training.validation import Validation, Validator

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], bool]], None]:
    """Make the model's output NaN in some updates: `poison(lambda update: ...)`, counted from 1."""

    def install(is_bad: Callable[[int], bool]) -> None:
        updates, now = itertools.count(1), [0]
        forward, update = Transformer.forward, Updater.__call__

        def counted(self: Updater, batches: Any) -> Any:
            now[0] = next(updates)
            return update(self, batches)

        def poisoned(self: Transformer, *batch: Any) -> torch.Tensor:
            states = forward(self, *batch)
            return states * math.nan if self.training and now[0] and is_bad(now[0]) else states

        monkeypatch.setattr(Updater, "__call__", counted)
        monkeypatch.setattr(Transformer, "forward", poisoned)

    return install


def metrics(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def test_a_bad_step_is_skipped_and_its_pairs_are_named(settings_file: Path, call_program: Call, poison: Any) -> None:
    poison(lambda update: update == 3)
    code, _, errors = call_program("train", settings_file)
    run = settings_file.parent / "run"
    assert code == 0, errors
    assert "step 3 had a gradient that is not finite and was skipped" in errors
    (entry,) = metrics(run, "skipped")
    assert entry["step"] == 3 and entry["number_of_pairs"] == len(entry["pairs"]) > 1
    assert set(entry["pairs"]) <= set(range(70))
    lines = metrics(run, "train")
    assert [line["skipped"] for line in lines] == [0, 1, 0, 0, 0, 0]
    assert all(math.isfinite(line["loss"]) for line in lines)
    assert read_checkpoint(RunDirectory(run).checkpoint(12)).state["skipped"] == 1


def test_several_in_a_row_go_back_with_half_the_learning_rate(
    settings_file: Path, call_program: Call, poison: Any
) -> None:
    # Steps 6, 7 and 8, after the checkpoint of step 4.
    poison(lambda update: 6 <= update <= 8)
    code, _, errors = call_program("train", settings_file, "training.max_skipped=3")
    run = settings_file.parent / "run"
    assert code == 0, errors
    assert "3 steps in a row had a gradient that is not finite: going back to" in errors
    assert "step-00000004, with half the learning rate (0.5 of the one in the settings)" in errors
    (entry,) = metrics(run, "rollback")
    assert (entry["step"], entry["from_step"], entry["rate_scale"]) == (4, 8, 0.5)
    state = read_checkpoint(RunDirectory(run).checkpoint(12)).state
    assert (state["rate_scale"], state["rollbacks"], state["skipped"], state["skipped_in_a_row"]) == (0.5, 1, 3, 0)
    # The position in the data moved on: eight batches before, eight after.
    epochs, rest = divmod(16, state["epoch_batches"])
    assert (state["epoch"], state["position"]) == (epochs, rest)
    rates = {line["step"]: line["learning_rate"] for line in metrics(run, "train")}
    assert rates[12] == pytest.approx(0.5 * 0.01 * math.sqrt(4 / 12))


def test_it_goes_back_to_before_the_row_and_not_to_a_checkpoint_within(
    settings_file: Path, call_program: Call, poison: Any
) -> None:
    # Steps 6 to 11, with a validation after step 8.
    poison(lambda update: 6 <= update <= 11)
    code, _, errors = call_program("train", settings_file, "training.max_skipped=6", "training.keep_last=5")
    assert code == 0, errors
    assert "6 steps in a row had a gradient that is not finite: going back to" in errors
    assert "step-00000004, with half" in errors
    run = RunDirectory(settings_file.parent / "run")
    assert run.steps() == [4, 8, 12]
    state = read_checkpoint(run.checkpoint(8)).state
    assert (state["rollbacks"], state["skipped_in_a_row"]) == (1, 0)


def test_it_does_not_go_back_to_weights_without_a_validation_loss(
    settings_file: Path, call_program: Call, poison: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The weights are useless from step 8 on, whose gradient was finite; then no gradient is.
    poison(lambda update: 9 <= update <= 11)
    validate = Validator.__call__

    def useless_once(self: Validator, model: Transformer) -> Validation:
        found, steps = validate(self, model), len(calls)
        calls.append(steps)
        return replace(found, loss=math.nan) if steps == 1 else found

    calls: list[int] = []
    monkeypatch.setattr(Validator, "__call__", useless_once)
    code, _, errors = call_program("train", settings_file, "training.max_skipped=3", "training.keep_last=5")
    assert code == 0, errors
    assert "step-00000004, with half" in errors


def test_a_damaged_checkpoint_on_the_way_back_is_set_aside_and_not_removed(
    settings_file: Path, call_program: Call, poison: Any
) -> None:
    run = RunDirectory(settings_file.parent / "run")

    def is_bad(update: int) -> bool:
        if update == 9:
            (run.checkpoint(8) / "state.json").write_text("{")
        return 9 <= update <= 11

    poison(is_bad)
    code, _, errors = call_program("train", settings_file, "training.max_skipped=3", "training.keep_last=5")
    assert code == 0, errors
    assert "step-00000004, with half" in errors
    assert (run.checkpoints / "damaged-step-00000008").is_dir()


def test_without_a_checkpoint_it_goes_back_to_the_beginning(
    settings_file: Path, call_program: Call, poison: Any
) -> None:
    poison(lambda update: 1 < update <= 3)
    code, _, errors = call_program("train", settings_file, "training.max_skipped=2", "training.ema_decay=0.9")
    assert code == 0, errors
    assert "going back to the beginning, with half the learning rate" in errors
    assert RunDirectory(settings_file.parent / "run").steps()[-1] == 12


def test_it_gives_up_in_the_end_and_the_last_checkpoint_is_good(
    settings_file: Path, call_program: Call, poison: Any
) -> None:
    poison(lambda update: update > 5)
    settings = ("training.max_skipped=2", "training.max_rollbacks=2")
    code, _, errors = call_program("train", settings_file, *settings)
    assert code == 1
    assert "did not help 2 times (now 0.25 of the one in the settings)" in errors
    run = RunDirectory(settings_file.parent / "run")
    begin = f"start_from={run.root}:4"
    assert f"Train another run (run=DIRECTORY) that begins with {run.checkpoint(4)} ({begin})" in " ".join(
        errors.split()
    )
    assert run.steps() == [4]
    checkpoint = read_checkpoint(run.checkpoint(4))
    assert all(torch.isfinite(weight).all() for weight in checkpoint.weights.values())
    # What went back once does not do so again for the same reason.
    assert (checkpoint.state["rollbacks"], checkpoint.state["rate_scale"]) == (2, 0.25)
    poison(lambda update: False)
    other = settings_file.parent / "other"
    code, _, errors = call_program("train", settings_file, f"run={other}", begin, "training.max_steps=2")
    assert code == 0, errors
