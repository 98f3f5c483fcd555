"""A corpus and settings so small that a whole training takes a second or two."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SETTINGS = """
preset: tiny
data:
  train: {corpus}/train.{{en,de}}
  valid: {corpus}/valid.{{en,de}}
tokenizer:
  vocab_size: 330
model:
  encoder_layers: 1
  decoder_layers: 1
  d_model: 16
  d_ff: 32
  num_heads: 2
  max_positions: 64
data_max: 0
training:
  max_steps: 12
  batch_tokens: 200
  warmup_steps: 4
  learning_rate: 0.01
  validate_every: 4
  validation_sentences: 4
  validation_samples: 1
  log_every: 2
  keep_last: 2
  average_last: 2
"""


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    """A settings file with its corpus next to it; the run goes to `run` in the same directory."""
    subjects = ["the dog", "a cat", "my friend", "the old man", "this child"]
    german = ["der Hund", "eine Katze", "mein Freund", "der alte Mann", "dieses Kind"]
    verbs = {"sleeps": "schläft", "reads": "liest", "runs": "rennt", "sings": "singt"}
    places = {"": "", " today": " heute", " in the garden": " im Garten", " at home": " zu Hause"}
    pairs = [
        (f"{subject}{place} {verb}.", f"{betreff}{ort} {verbum}.")
        for subject, betreff in zip(subjects, german, strict=True)
        for verb, verbum in verbs.items()
        for place, ort in places.items()
    ]
    for name, chosen in {"train": pairs[:70], "valid": pairs[70:]}.items():
        for side, language in enumerate(("en", "de")):
            text = "".join(f"{pair[side]}\n" for pair in chosen)
            (tmp_path / f"{name}.{language}").write_text(text, encoding="utf-8")
    file = tmp_path / "small.yaml"
    text = SETTINGS.format(corpus=tmp_path).replace("data_max: 0\n", "")
    file.write_text(text.replace("data:\n", "data:\n  max_length: 60\n") + f"run: {tmp_path / 'run'}\n")
    return file


@pytest.fixture
def terminate_in_training() -> Callable[..., tuple[int, str]]:
    """Start a long training by the program, and send it a signal after its first steps: return exit code and stderr."""

    def terminate(settings_file: Path, *words: str, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        command = [sys.executable, "-m", "translator", "train", str(settings_file), *words]
        process = subprocess.Popen(
            [*command, "training.max_steps=100k", "training.validate_every=50k"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True,
        )  # fmt: skip
        metrics = settings_file.parent / "run" / "metrics.jsonl"
        deadline = time.monotonic() + 100
        while not metrics.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        _, errors = process.communicate(timeout=100)
        return process.returncode, errors

    return terminate
