"""Memory that runs out: before the first step, and in the middle; the device's limit is injected."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from translator.checkpoints import RunDirectory, read_checkpoint
from translator.config import Config, read_run_config, resolve_preset
from translator.model import Transformer
from translator.training.batch_size import warn_of_long_training
from translator.training.update import Updater

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int, int], bool]], None]:
    """Let training passes run out of memory: `limit(lambda target_tokens, update: ...)`; rehearsals are update 0."""

    def install(is_too_large: Callable[[int, int], bool]) -> None:
        updates, now = itertools.count(1), [0]
        forward, update = Transformer.forward, Updater.__call__

        def counted(self: Updater, batches: Any) -> Any:
            now[0] = next(updates)
            return update(self, batches)

        def limited(self: Transformer, source: Any, target: Any) -> torch.Tensor:
            states = forward(self, source, target)
            if self.training and is_too_large(target.tokens.numel(), now[0]):
                raise torch.OutOfMemoryError("out of memory, says the test")
            return states

        monkeypatch.setattr(Updater, "__call__", counted)
        monkeypatch.setattr(Transformer, "forward", limited)

    return install


def test_a_batch_that_can_never_fit_is_said_before_training(
    settings_file: Path, call_program: Call, limit: Any
) -> None:
    limit(lambda tokens, update: tokens > 100)
    code, _, errors = call_program("train", settings_file)
    assert code == 1
    assert "out of memory in a step with the largest batch, 200 target tokens" in errors
    assert "training.batch_tokens" in errors and "training.accumulate" in errors
    # The directory is locked while the batch is tried.
    assert {path.name for path in (settings_file.parent / "run").iterdir()} == {"prepared", "checkpoints"}
    assert not list((settings_file.parent / "run" / "checkpoints").iterdir())


def test_an_out_of_memory_batch_is_done_again_in_halves(settings_file: Path, call_program: Call, limit: Any) -> None:
    whole, split = settings_file.parent / "whole", settings_file.parent / "split"
    settings = ("model.dropout=0", "precision=fp32", "training.max_steps=4", "training.adam_epsilon=1e-3")
    assert call_program("train", settings_file, f"run={whole}", *settings)[0] == 0
    limit(lambda tokens, update: update == 2 and tokens > 128)
    code, _, errors = call_program("train", settings_file, f"run={split}", *settings)
    assert code == 0, errors
    assert re.search(r"out of memory in a batch of \d+ target tokens; it is done again in halves", errors)
    expected, found = (read_checkpoint(RunDirectory(run).checkpoint(4)) for run in (whole, split))
    for name, weight in expected.weights.items():
        torch.testing.assert_close(found.weights[name], weight, atol=2e-5, rtol=1e-4)
    assert found.state["target_tokens"] == expected.state["target_tokens"]


def test_a_pair_that_does_not_fit_alone_ends_training(settings_file: Path, call_program: Call, limit: Any) -> None:
    limit(lambda tokens, update: update == 2)
    code, _, errors = call_program("train", settings_file)
    assert code == 1
    assert "out of memory with a single sentence pair" in errors and "data.max_length" in errors


def test_auto_finds_the_largest_batch_and_the_run_keeps_it(
    settings_file: Path, call_program: Call, limit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from translator.training import batch_size

    monkeypatch.setattr(batch_size, "SMALLEST", 128)
    # Batches are filled up to multiples of 64 tokens.
    limit(lambda tokens, update: tokens > 448)
    run = settings_file.parent / "run"
    code, _, errors = call_program("train", settings_file, "training.batch_tokens=auto", "training.max_steps=4")
    assert code == 0, errors
    match = re.search(r"training.batch_tokens: (\d+) is the largest that fits", errors)
    assert match
    found = int(match[1])
    assert 256 < found <= 448
    assert read_run_config(run).training.batch_tokens == found
    # The same command continues with the size that was found, without searching again.
    code, _, errors = call_program("train", settings_file, "training.batch_tokens=auto", "training.max_steps=6")
    assert code == 0 and "is the largest that fits" not in errors, errors
    limit(lambda tokens, update: True)
    run2 = settings_file.parent / "none"
    code, _, errors = call_program("train", settings_file, "training.batch_tokens=auto", f"run={run2}")
    assert code == 1 and "not even 128 target tokens fit" in errors


def test_a_host_is_not_driven_into_its_limit(
    settings_file: Path, call_program: Call, limit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from translator.training import batch_size

    seen = [0]
    limit(lambda tokens, update: bool(seen.append(tokens)))
    monkeypatch.setattr(batch_size, "SMALLEST", 64)
    monkeypatch.setattr(batch_size, "peak_bytes", lambda device: 1000 + 10 * max(seen))
    # With the margin, there is room for 300 tokens.
    monkeypatch.setattr(batch_size, "available_bytes", lambda device: round(4000 / 0.85))
    code, _, errors = call_program("train", settings_file, "training.batch_tokens=auto", "training.max_steps=1")
    assert code == 0, errors
    match = re.search(r"training.batch_tokens: (\d+) is the largest that fits", errors)
    assert match and 192 <= int(match[1]) <= 300
    # Batches are filled up to multiples of 64 tokens.
    assert max(seen) <= 320


@pytest.mark.parametrize(
    ("settings", "seconds", "words"),
    [
        (
            {"preset": "small"},
            6.0,
            ("50,000 steps of this run (small) may take 3 days", "preset=tiny has the smallest"),
        ),
        ({"preset": "tiny"}, 30.0, ("8,000 steps of this run (tiny) may take 3 days: set training.max_steps to",)),
        ({"preset": "small"}, 1.5, ()),
        ({"preset": "small", "training": {"max_epochs": 2}}, 6.0, ()),
    ],
)
def test_days_of_training_on_a_cpu_are_said_before(
    capsys: pytest.CaptureFixture[str], settings: dict[str, Any], seconds: float, words: tuple[str, ...]
) -> None:
    warn_of_long_training(resolve_preset(Config.model_validate(settings)), seconds)
    said = capsys.readouterr().err
    assert all(word in said for word in words) and bool(said) == bool(words)


def test_days_of_training_are_counted_in_epochs_if_those_end_it(capsys: pytest.CaptureFixture[str]) -> None:
    config = resolve_preset(Config.model_validate({"preset": "small", "training": {"max_epochs": 2}}))
    for epoch_tokens, processes, words in (
        (100_000_000, 1, "so that the 2 epochs of this run (small) may take 3 days"),
        (100_000_000, 2, "so that the 2 epochs of this run (small) may take 2 days"),
        (10**9, 1, "so that the 50,000 steps of this run (small) may take 3 days"),
        (1_000_000, 1, ""),
    ):
        warn_of_long_training(config, 6.0, epoch_tokens, processes)
        said = capsys.readouterr().err
        assert words in said and bool(said) == bool(words)
