"""The disk that checkpoints take: as stated, and a warning where it is not there."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from translator.checkpoints import Checkpoint, model_tensors, write_checkpoint
from translator.checkpoints.disk import checkpoints_bytes, report_space
from translator.config import ModelSettings
from translator.model import build_model, count_parameters


@pytest.mark.parametrize("moving_average", [False, True])
def test_the_statement_is_what_files_take(tmp_path: Path, moving_average: bool) -> None:
    settings = ModelSettings(encoder_layers=1, decoder_layers=1, d_model=64, d_ff=256, num_heads=2)
    model = build_model(settings, 300, 300, seed=1)
    weights = model_tensors(model)
    names = ["exp_avg", "exp_avg_sq", *(["average"] if moving_average else [])]
    moments = {f"{name}/{kind}": torch.zeros_like(weights[name]) for name in weights for kind in names}
    # Two that are kept as the newest, one as the best, and the one that is being written.
    for step in range(4):
        write_checkpoint(tmp_path / f"step-{step}", Checkpoint(weights, moments, {}))
    write_checkpoint(tmp_path / "final", Checkpoint(weights, {}, {}))
    written = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    stated = checkpoints_bytes(count_parameters(model), 3, moving_average)
    # Names and shapes of the tensors come on top: little even for a model as small as this.
    assert stated < written < 1.05 * stated


@pytest.mark.parametrize(
    ("free", "warning"),
    [
        (3 * 10**9, ""),
        (2 * 10**9 - 100 * 10**6, ""),
        (10**9, "needs 1.9 GB more than it holds now, and the disk has 1.0 GB"),
    ],
)
def test_a_disk_that_is_too_small_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], free: int, warning: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    (tmp_path / "step-1").mkdir()
    with (tmp_path / "step-1" / "model").open("wb") as file:
        file.truncate(100 * 10**6)
    report_space(tmp_path, needed=2 * 10**9)
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == f"checkpoints take up to 2.0 GB of disk; {free / 1e9:.1f} GB are free"
    assert len(rest) == bool(warning) and warning in "".join(rest)
