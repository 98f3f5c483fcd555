"""A pruned run is a run: it is trained further, translates, is scored, averaged, and read by the other engine."""

from collections.abc import Callable
from pathlib import Path

import pytest

from translator.checkpoints import RunDirectory, load_bundle, read_checkpoint
from translator.config import read_run_config

Call = Callable[..., tuple[int, str, str]]


def test_from_training_to_pruning_to_training(settings_file: Path, call_program: Call) -> None:
    folder = settings_file.parent
    run, output = folder / "run", folder / "pruned"
    words = ["training.max_steps=8", "training.ema_decay=0.9", "model.decoder_layers=2"]
    assert call_program("train", settings_file, *words)[0] == 0
    files = ["--source", folder / "valid.en", "--reference", folder / "valid.de"]
    code, out, errors = call_program("prune", run, "--output", output, "--heads", "3", *files)
    assert (code, out.strip()) == (0, str(output)), errors
    assert "removed 3 heads: " in errors and "to train it further" in errors
    heads = sum((read_run_config(output).model.heads(kind) for kind in ("encoder", "decoder", "cross")), [])
    assert sum(heads) == 7 and len(heads) == 5
    before = sum(parameter.numel() for parameter in load_bundle(run).model.parameters())
    after = sum(parameter.numel() for parameter in load_bundle(output).model.parameters())
    # Of each head 3 matrices and biases to 8 of 16 numbers, and one back.
    assert before - after == 3 * (3 * (8 * 16 + 8) + 16 * 8)
    assert f"parameters: {before:,} before, {after:,} after" in errors

    source = b"the dog sleeps.\n\na cat reads.\n"
    code, translated, _ = call_program("translate", output, input=source)
    assert code == 0 and translated.count("\n") == 3
    pytest.importorskip("ctranslate2")
    assert call_program("translate", output, "--engine", "ctranslate2", input=source)[1] == translated

    code, _, errors = call_program("train", output / "config.yaml", "training.max_steps=12")
    assert code == 0 and "resuming after step 8" in errors, errors
    assert "finished after 12 steps" in errors
    directory = RunDirectory(output)
    assert directory.steps()[-1] == 12
    final = read_checkpoint(directory.weights("final")).state
    assert final["bleu"] >= 0.0 and "pruned" not in final
    assert call_program("evaluate", output, *files)[0] == 0
    assert call_program("score", output, "--source", folder / "valid.en", "--target", folder / "valid.de")[0] == 0
    assert call_program("average", output, "--last", "2", "--name", "mean")[0] == 0


def test_a_pruned_run_that_has_ended_says_so(settings_file: Path, call_program: Call) -> None:
    assert call_program("train", settings_file, "training.max_steps=4")[0] == 0
    output = settings_file.parent / "pruned"
    assert call_program("prune", settings_file.parent / "run", "--output", output, "--heads", "cross.1.2")[0] == 0
    code, _, errors = call_program("train", output / "config.yaml")
    assert code == 0 and "has already ended, after step 4" in errors
