"""A validation that runs out of memory is done again in halves; a training does not end for it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from translator.config import load_config
from translator.training import train, validation


def test_a_validation_is_done_again_in_halves(
    settings_file: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    real = validation.batch_loss

    def fail(model: Any, batch: Any, *arguments: Any, **options: Any) -> Any:
        if len(batch.indices) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(model, batch, *arguments, **options)

    losses = []
    for name in ("whole", "halves"):
        run = settings_file.parent / name
        train(load_config(settings_file, [f"run={run}", "device=cpu", "training.max_steps=1"]))
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        losses.append(next(line["loss"] for line in lines if line["kind"] == "valid"))
        monkeypatch.setattr(validation, "batch_loss", fail)
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert "out of memory in a batch of validation pairs" in capfd.readouterr().err
