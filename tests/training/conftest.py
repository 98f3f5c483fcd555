"""A corpus and settings so small that a whole training takes a second or two."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from translator.config import load_config
from translator.training import train

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
  schedule: inverse_sqrt
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
    return write_settings(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same settings file with the run that it makes in four steps; copied by `begun`."""
    file = write_settings(tmp_path_factory.mktemp("trained"))
    train(load_config(file, ["training.max_steps=4"]))
    return file


@pytest.fixture
def begun(trained: Path, tmp_path: Path) -> Path:
    """A copy of `trained` that may be changed: the settings file, with corpus and run next to it."""
    shutil.copytree(trained.parent, tmp_path, dirs_exist_ok=True)
    for name in ("small.yaml", "run/config.yaml"):
        file = tmp_path / name
        file.write_text(file.read_text().replace(str(trained.parent), str(tmp_path)))
    return tmp_path / trained.name


def write_settings(tmp_path: Path) -> Path:
    """Write the corpus and the settings file into a directory."""
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
        deadline = time.monotonic() + PATIENCE
        while not metrics.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE)
        return process.returncode, errors

    return terminate
