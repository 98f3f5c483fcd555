"""Training through the real command: from text to a run, resumed, interrupted, refused."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import torch

from translator.checkpoints import RunDirectory, load_bundle, read_checkpoint, write_checkpoint
from translator.config import read_run_config
from translator.runtime.files import locked

Call = Callable[..., tuple[int, str, str]]


def weights_of(run: Path, step: int) -> dict[str, torch.Tensor]:
    return read_checkpoint(RunDirectory(run).checkpoint(step)).weights


def test_from_text_to_a_run_that_translates(
    settings_file: Path, run_command: Callable[..., subprocess.CompletedProcess[bytes]]
) -> None:
    result = run_command("train", settings_file)
    errors = result.stderr.decode()
    assert result.returncode == 0, errors
    run = settings_file.parent / "run"
    assert result.stdout.decode().strip() == str(run)
    # Where stderr is no terminal, progress is plain lines, one at each log point.
    assert "\r" not in errors
    logged = re.findall(r"^training: (\d+) of 12 steps in [^;]*; loss \d+\.\d+, [\d,]+ tokens/s, lr \S+$", errors, re.M)
    assert logged == ["2", "4", "6", "8", "10", "12"]
    assert re.search(r"^checking train: 70 pairs in ", errors, re.M)
    assert re.search(r"^encoding train: \d+ of \d+ pairs in ", errors, re.M)
    assert "validation loss" in errors and "translation" in errors
    assert "finished after 12 steps" in errors and re.search(r"BLEU \d+\.\d\d  \(.*tok:13a", errors)
    directory = RunDirectory(run)
    assert directory.steps()[-2:] == [8, 12]
    assert len(directory.steps()) <= 3  # two newest and the best
    lines = [json.loads(line) for line in directory.metrics.read_text().splitlines()]
    trained = [line for line in lines if line["kind"] == "train"]
    assert [line["step"] for line in trained] == [2, 4, 6, 8, 10, 12]
    assert trained[-1]["loss"] < trained[0]["loss"]
    validated = [line for line in lines if line["kind"] == "valid"]
    assert [line["step"] for line in validated] == [4, 8, 12]
    assert all("signature" in score for line in validated for score in line["scores"])
    # No source holds two sentences, so that every line is split.
    assert read_run_config(run).decoding.split_above == 0
    translated = run_command("translate", run, input=b"the dog sleeps.\n\na cat reads.\n")
    assert translated.returncode == 0 and translated.stdout.count(b"\n") == 3
    assert translated.stdout.split(b"\n")[1] == b""
    assert b"\r" not in translated.stderr and b"translating: 3 lines in " in translated.stderr


def test_resuming_gives_the_weights_of_an_uninterrupted_run(settings_file: Path, call_program: Call) -> None:
    whole, parts = settings_file.parent / "whole", settings_file.parent / "parts"
    assert call_program("train", settings_file, f"run={whole}")[0] == 0
    # Steps 5 and 10 are inside an epoch and in the next one.
    for steps in (5, 10, 12):
        code, _, errors = call_program("train", settings_file, f"run={parts}", f"training.max_steps={steps}")
        assert code == 0
    assert "resuming after step 10" in errors
    expected, found = weights_of(whole, 12), weights_of(parts, 12)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    state = read_checkpoint(RunDirectory(parts).checkpoint(12)).state
    assert state["epoch"] > 0


def test_a_finished_run_says_so_and_goes_on_when_asked(settings_file: Path, call_program: Call) -> None:
    run = settings_file.parent / "run"
    assert call_program("train", settings_file)[0] == 0
    before = (run / "models" / "final" / "model.safetensors").read_bytes()
    code, out, errors = call_program("train", settings_file)
    assert (code, out.strip()) == (0, str(run))
    assert "has already ended, after step 12; raise training.max_steps to continue" in errors
    assert (run / "models" / "final" / "model.safetensors").read_bytes() == before
    assert call_program("train", settings_file, "training.max_steps=14")[0] == 0
    assert RunDirectory(run).steps()[-1] == 14


def test_a_setting_that_cannot_change_is_named(settings_file: Path, call_program: Call) -> None:
    assert call_program("train", settings_file)[0] == 0
    code, _, errors = call_program("train", settings_file, "model.d_ff=64", "seed=3", "training.log_every=5")
    assert code == 1
    assert "model.d_ff" in errors and "began with 32, found 64" in errors
    assert "seed" in errors and "log_every" not in errors


def test_five_mistakes_are_printed_before_anything_is_touched(settings_file: Path, call_program: Call) -> None:
    before = sorted(settings_file.parent.rglob("*"))
    mistakes = ["trainig.max_steps=5", "training.learning_rat=1", "model.dropout=2", "precision=fp8", "seed=one"]
    code, out, errors = call_program("train", settings_file, *mistakes)
    assert (code, out) == (1, "")
    assert "5 mistakes in the settings" in errors
    assert "did you mean training?" in errors and "did you mean training.learning_rate?" in errors
    assert sorted(settings_file.parent.rglob("*")) == before


def test_wrong_usage_exits_with_2(call_program: Call, tmp_path: Path) -> None:
    code, _, errors = call_program("train", tmp_path / "a.yaml", "training")
    assert code == 2
    assert "expected KEY=VALUE" in errors


def test_training_without_a_corpus_is_explained(call_program: Call, tmp_path: Path) -> None:
    code, _, errors = call_program("train", f"run={tmp_path / 'run'}")
    assert code == 1
    assert "data.train" in errors


def test_sigterm_saves_and_the_same_command_continues(
    settings_file: Path,
    terminate_in_training: Callable[..., tuple[int, str]],
    run_command: Callable[..., subprocess.CompletedProcess[bytes]],
) -> None:
    code, errors = terminate_in_training(settings_file)
    assert code == 143
    assert "stopped by SIGTERM after step" in errors
    steps = RunDirectory(settings_file.parent / "run").steps()
    assert len(steps) == 1
    result = run_command("train", settings_file, f"training.max_steps={steps[0] + 1}")
    assert result.returncode == 0
    assert f"resuming after step {steps[0]:,}".encode() in result.stderr


def test_a_run_that_is_declared_ended_before_any_validation(settings_file: Path, call_program: Call) -> None:
    code, _, _ = call_program("train", settings_file, "training.validate_every=100", "training.max_steps=3")
    assert code == 0
    run = RunDirectory(settings_file.parent / "run")
    state = read_checkpoint(run.checkpoint(3))
    state.state["history"] = []
    write_checkpoint(run.checkpoint(3), state)
    shutil.rmtree(run.models)
    code, _, errors = call_program("train", settings_file, "training.max_steps=2")
    assert code == 0, errors
    assert (run.models / "final").is_dir()


def test_two_trainings_never_share_a_run(settings_file: Path, call_program: Call) -> None:
    run = RunDirectory(settings_file.parent / "run")
    run.checkpoints.mkdir(parents=True)
    with locked(run.checkpoints):
        code, _, errors = call_program("train", settings_file)
    assert code == 1 and f"process {os.getpid()} (" in errors and f") is training in {run.root}" in errors
    assert not run.steps() and not run.config.exists()
    assert call_program("train", settings_file)[0] == 0


def test_early_stopping_and_the_end_of_epochs(settings_file: Path, call_program: Call) -> None:
    common = ("training.validate_every=1", "training.learning_rate=1e-9", "training.best_metric=loss")
    code, _, errors = call_program("train", settings_file, *common, "training.patience=2", "training.warmup_steps=0")
    assert code == 0
    run = RunDirectory(settings_file.parent / "run")
    history = read_checkpoint(run.checkpoint(run.steps()[-1])).state["history"]
    losses = [entry["loss"] for entry in history]
    assert len(losses) < 12 and min(losses) == losses[-3]
    other = settings_file.parent / "epochs"
    code, _, _ = call_program("train", settings_file, f"run={other}", "training.max_epochs=1")
    assert code == 0
    state = read_checkpoint(RunDirectory(other).checkpoint(RunDirectory(other).steps()[-1])).state
    assert (state["epoch"], state["position"], state["epoch_batches"]) == (1, 0, 0)


def test_a_run_goes_on_at_its_place_when_the_batch_size_changes(settings_file: Path, call_program: Call) -> None:
    run = RunDirectory(settings_file.parent / "run")
    assert call_program("train", settings_file, "training.max_steps=3")[0] == 0
    before = read_checkpoint(run.checkpoint(3)).state
    assert before["epoch"] == 0 and before["epoch_batches"] > 4
    code, _, errors = call_program("train", settings_file, "training.max_steps=4", "training.batch_tokens=100")
    assert code == 0, errors
    after = read_checkpoint(run.checkpoint(4)).state
    assert after["epoch_batches"] > 1.5 * before["epoch_batches"]
    position = before["position"] * after["epoch_batches"] // before["epoch_batches"]
    assert after["position"] == position + 1
    assert f"the same point of epoch 0 (batch {position} of {after['epoch_batches']})" in errors


def test_frozen_parameters_stay(settings_file: Path, call_program: Call) -> None:
    run = settings_file.parent / "run"
    code, _, errors = call_program("train", settings_file, "training.freeze=[encoder_layers.*, '*.bias']")
    assert code == 0, errors
    first, last = weights_of(run, 8), weights_of(run, 12)
    same = {name for name in first if torch.equal(first[name], last[name])}
    assert same == {name for name in first if name.startswith("encoder_layers.") or name.endswith(".bias")}
    code, _, errors = call_program("train", settings_file, "training.freeze=[encoder_layer.*]", f"run={run}2")
    assert code == 1 and "no parameter is called 'encoder_layer.*'" in errors


def test_average_gives_weights_a_name(settings_file: Path, call_program: Call) -> None:
    run = settings_file.parent / "run"
    assert call_program("train", settings_file, "training.average_last=1")[0] == 0
    code, out, _ = call_program("average", run, "--last", "2", "--name", "mean")
    assert code == 0 and "average of step-00000008, step-00000012" in out
    mean = load_bundle(run, weights="mean")
    expected = (weights_of(run, 8)["output_weight"] + weights_of(run, 12)["output_weight"]) / 2
    torch.testing.assert_close(mean.model.output_weight.detach(), expected)
    state = read_checkpoint(RunDirectory(run).checkpoint(12)).state
    # So little training leaves a BLEU that says nothing; chrF decides, then the loss.
    best = min((entry for entry in state["history"] if entry["step"] in RunDirectory(run).steps()),
               key=lambda entry: (-entry["bleu"] * (entry["bleu"] >= 1), -entry["chrf"], entry["loss"]))  # fmt: skip
    code, out, _ = call_program("average", run, "--best", "1", "--name", "better")
    assert code == 0 and out.strip().endswith(f"average of step-{best['step']:08d}")
    code, _, errors = call_program("average", run, "--step", "8", "--step", "9")
    assert code == 1 and "'9'" in errors


def test_the_best_checkpoints_are_averaged_where_that_validates_best(settings_file: Path, call_program: Call) -> None:
    settings = (
        "training.best_metric=loss",
        "training.average_last=1",
        "training.average_best=2",
        "training.keep_best=2",
    )
    code, _, errors = call_program("train", settings_file, *settings)
    assert code == 0 and "average of the best 2 checkpoints" in errors
    run = RunDirectory(settings_file.parent / "run")
    final = read_checkpoint(run.models / "final").state
    history = sorted((entry["loss"], entry["step"]) for entry in read_checkpoint(run.checkpoint(12)).state["history"])
    names = [f"step-{step:08d}" for step in sorted(step for _, step in history[:2])]
    assert final["from"] in (names, [f"step-{history[0][1]:08d}"])
    assert final["loss"] <= history[0][0]
    code, _, errors = call_program("train", settings_file, "training.average_best=3")
    assert code == 1 and "raise keep_best" in errors


def test_checkpoints_at_multiples_are_kept(settings_file: Path, call_program: Call) -> None:
    code, _, errors = call_program(
        "train", settings_file, "training.keep_every=8", "training.keep_last=1", "training.average_last=1",
        "training.best_metric=loss",
    )  # fmt: skip
    assert code == 0, errors
    run = RunDirectory(settings_file.parent / "run")
    history = read_checkpoint(run.checkpoint(12)).state["history"]
    best = min((entry["loss"], entry["step"]) for entry in history)[1]
    assert run.steps() == sorted({best, *(entry["step"] for entry in history if entry["step"] % 8 == 0)})
    assert 8 in run.steps() and 4 not in run.steps()


def test_config_prints_the_settings_of_a_file_and_all_settings(settings_file: Path, call_program: Call) -> None:
    code, out, _ = call_program("config", "show", settings_file, "seed=9")
    assert code == 0 and "seed: 9" in out and "d_ff: 32" in out and "label_smoothing: 0.1" in out
    code, out, _ = call_program("config", "schema")
    assert code == 0 and "training.max_steps" in out
    code, out, _ = call_program("config", "schema", "--json")
    assert code == 0 and json.loads(out)["properties"]["training"]
