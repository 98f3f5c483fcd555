"""JoeyNMT as a contender of compare_peers.py, in an environment of its own, whose Python JOEYNMT_PYTHON names.

    python -m venv joey; joey/bin/pip install torch tensorboard matplotlib sacrebleu datasets pandas packaging
    joey/bin/pip install --no-deps joeynmt==2.3.0 sentencepiece==0.2.0 subword-nmt importlib_metadata==8.5.0 zipp

It has the shape, the vocabulary, the pairs, the rates and the size of batches of the task, in its own way: batches are
of random sentences, so that much of them is padding, it initialises the weights by itself, and its rates fall with the
inverse square root of the step, as it has no cosine. It validates after as many steps as its epoch has.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from scripts.peers import Outcome, Task, call, read_lines
from translator.config import Config
from translator.data import load_prepared
from translator.data.dataset import ParallelDataset
from translator.evaluation import evaluate_hypotheses

VARIABLE = "JOEYNMT_PYTHON"
SEED = 1


class JoeyNMT:
    """JoeyNMT's own commands."""

    title = "JoeyNMT 2.3"
    search = "GNMT length penalty of 1.0"
    # It saves what it has when it is interrupted as from a terminal.
    stop = signal.SIGINT

    def command(self, task: Task, folder: Path) -> list[str]:
        """See `Contender`; writes text, vocabulary and settings first, which take no time of the training."""
        data = load_prepared(task.prepared, task.config())
        text = folder / "text"
        words = [*task.words, f"run={task.output / 'run'}", "--output", str(text)]
        call(task, [sys.executable, "-m", "translator", "data", "filter", *words], folder)
        for side, language in enumerate(task.languages):
            write_lines(text / f"valid.{language}", validation_texts(data.valid, data.config)[side])
            write_lines(text / f"test.{language}", read_lines(task.test[side]))
        pieces = data.tokenizers.target
        write_lines(folder / "vocabulary.txt", pieces.pieces(range(pieces.vocab_size)))
        every = steps_of_an_epoch(data.train, int(data.config.training.batch_tokens))
        settings = joeynmt_settings(data.config, task, folder, every)
        return [python(), "-m", "joeynmt", "train", str(write(settings, folder / "train.yaml")), "--skip-test"]

    def finish(self, task: Task, folder: Path) -> Outcome:
        """See `Contender`: the best of its checkpoints, or what it saved at the end."""
        data = load_prepared(task.prepared, task.config())
        settings = joeynmt_settings(data.config, task, folder, 1)
        references = validation_texts(data.valid, data.config)[1]
        found: dict[str, float] = {}
        for name in ("latest", "best"):
            if (folder / "model" / f"{name}.ckpt").exists():
                translations = translate(task, settings, folder, name, "dev", beam=1)
                scores = evaluate_hypotheses(translations, references, metrics=("bleu",), language=task.languages[1])
                found[name] = scores.scores[0].value
        chosen = max(found, key=lambda name: found[name])
        state = torch.load(folder / "model" / "latest.ckpt", map_location="cpu", weights_only=True)["stats_state"]
        report = folder / "model" / "validations.txt"
        return Outcome(
            translate(task, settings, folder, chosen, "test", task.beam),
            state["steps"], state["total_tokens"],
            len(read_lines(report)) if report.exists() else 0,
            f"step {(folder / 'model' / f'{chosen}.ckpt').resolve().stem}", found[chosen],
        )  # fmt: skip


def python() -> str:
    """Return the Python that has JoeyNMT."""
    if VARIABLE not in os.environ:
        raise SystemExit(f"joeynmt needs {VARIABLE}, the path of a Python that has it; see scripts/peer_joeynmt.py")
    return os.environ[VARIABLE]


def validation_texts(valid: ParallelDataset, config: Config) -> tuple[list[str], list[str]]:
    """Return the sentences that `translator train` decodes at a validation."""
    count = min(config.training.validation_sentences, len(valid))
    return valid.texts(np.linspace(0, len(valid) - 1, count).astype(np.int64))


def steps_of_an_epoch(train: ParallelDataset, batch_tokens: int) -> int:
    """Count its batches of random sentences: as many as reach `batch_tokens` when all are padded to the longest."""
    lengths = np.maximum(train.source_lengths, train.target_lengths) + 1
    steps, sentences, longest = 0, 0, 0
    for length in np.random.default_rng(SEED).permutation(lengths).tolist():
        sentences, longest = sentences + 1, max(longest, length)
        if sentences * longest >= batch_tokens:
            steps, sentences, longest = steps + 1, 0, 0
    return max(steps, 1)


def joeynmt_settings(config: Config, task: Task, folder: Path, every: int) -> dict[str, Any]:
    """Return its settings; `every` is the number of steps between validations."""
    model, training = config.model, config.training
    side = {
        "max_length": config.data.max_length, "level": "bpe", "voc_file": str(folder / "vocabulary.txt"),
        "tokenizer_type": "sentencepiece", "tokenizer_cfg": {"model_file": str(task.prepared / "tokenizer.model")},
    }  # fmt: skip
    sides = {name: {"lang": language, **side} for name, language in zip(("src", "trg"), task.languages, strict=True)}
    stack = {
        "type": "transformer", "num_heads": model.num_heads, "hidden_size": model.d_model, "ff_size": model.d_ff,
        "embeddings": {"embedding_dim": model.d_model, "scale": True, "dropout": model.dropout},
        "dropout": model.dropout, "layer_norm": model.norm, "activation": model.activation,
    }  # fmt: skip
    return {
        "name": "peer", "joeynmt_version": "2.3.0", "model_dir": str(folder / "model"), "use_cuda": False,
        "random_seed": SEED,
        "data": {**sides, **{to: str(folder / "text" / name) for to, name in (("train", "train"), ("dev", "valid"))}},
        "testing": {
            "beam_size": task.beam, "beam_alpha": 1.0, "batch_size": 1024, "batch_type": "token",
            "eval_metrics": ["bleu"], "sacrebleu_cfg": {"tokenize": "13a"},
        },
        "training": {
            "optimizer": "adam", "normalization": "tokens", "adam_betas": list(training.adam_betas),
            "scheduling": "warmupinversesquareroot", "learning_rate": training.learning_rate,
            "learning_rate_warmup": training.warmup_steps, "learning_rate_min": 1e-12,
            "label_smoothing": training.label_smoothing, "batch_size": int(training.batch_tokens),
            "batch_type": "token", "early_stopping_metric": "bleu", "epochs": 100_000, "updates": training.max_steps,
            "validation_freq": every, "logging_freq": every, "overwrite": True, "print_valid_sents": [0],
        },
        "model": {
            "initializer": "xavier_uniform", "embed_initializer": "xavier_uniform", "bias_initializer": "zeros",
            "tied_embeddings": True, "tied_softmax": True,
            "encoder": {"num_layers": model.encoder_layers, **stack},
            "decoder": {"num_layers": model.decoder_layers, **stack},
        },
    }  # fmt: skip


def translate(task: Task, settings: dict[str, Any], folder: Path, weights: str, what: str, beam: int) -> list[str]:
    """Translate its validation (`dev`) or test set with a checkpoint."""
    data = {name: value for name, value in settings["data"].items() if name not in ("train", "dev")}
    path = folder / "text" / {"dev": "valid", "test": "test"}[what]
    own = {
        **settings, "data": {**data, what: str(path)},
        "testing": {
            **settings["testing"], "beam_size": beam, "load_model": str(folder / "model" / f"{weights}.ckpt"),
        },
    }  # fmt: skip
    output = folder / f"{weights}-{beam}"
    config = write(own, folder / f"{output.name}.yaml")
    call(task, [python(), "-m", "joeynmt", "test", str(config), "--output-path", str(output)], folder)
    return read_lines(output.with_name(f"{output.name}.{what}"))


def write(settings: dict[str, Any], path: Path) -> Path:
    """Write settings as YAML."""
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Write a text file."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
