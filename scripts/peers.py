"""The contenders of compare_peers.py: how each is started, stopped, and made to translate with what it learned.

Training is a command of its own for each, which runs until it is asked to stop, as a user would run and stop it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from scripts.bench_train import VARIANTS
from translator.checkpoints import RunDirectory, read_checkpoint
from translator.config import Config, complete_config, load_config

ROOT = Path(__file__).parents[1]
# Without those that have our allocator settings and our products.
VARIANT_NAMES = dict(
    zip(("hf", "hf-best", "hf-bf16"), (title for title, own in VARIANTS.items() if not own.our_settings), strict=True)
)
"""Names on the command line, with those in `VARIANTS`."""


@dataclass(frozen=True)
class Task:
    """What is the same for all contenders."""

    train: Sequence[Path]
    """The files of source and target, as are the next two."""
    valid: Sequence[Path]
    test: Sequence[Path]
    settings: Sequence[str]
    """KEY=VALUE: the preset, and what else is not its default. Shape, batch size, learning rate and dropout for all."""
    minutes: float
    clock: str
    """What counts as time: `wall`, or `cpu` for CPU time divided by the threads."""
    threads: int
    beam: int
    output: Path

    @property
    def prepared(self) -> Path:
        """Cleaned training pairs, the vocabulary and the validation pairs; made before the clock starts."""
        return self.output / "prepared"

    @property
    def words(self) -> list[str]:
        """The arguments of `translator train`, without the run."""
        corpora = {"train": self.train, "valid": self.valid, "test": self.test}
        files = [f"data.{name}={json.dumps([str(path) for path in pair])}" for name, pair in corpora.items()]
        languages = zip(("source", "target"), self.languages, strict=True)
        return [
            *files, *(f"data.{side}_language={language}" for side, language in languages),
            f"data.prepared={self.prepared}", f"threads={self.threads}", "device=cpu", *self.settings,
        ]  # fmt: skip

    @property
    def languages(self) -> tuple[str, str]:
        """Codes of source and target: the endings of the test files."""
        source, target = (path.suffix.removeprefix(".") for path in self.test)
        return source, target

    def config(self) -> Config:
        """The settings, with those of the preset filled in."""
        return complete_config(load_config(overrides=self.words))


class Outcome(NamedTuple):
    """What a contender had at the end of its time."""

    translations: list[str]
    """Of the test set."""
    steps: int
    target_tokens: int
    validations: int
    """How many were done within the time."""
    weights: str
    """Which weights were chosen on the validation set."""
    valid_bleu: float
    """BLEU of these weights there, decoded greedily."""


class Contender(Protocol):
    """A way to train."""

    title: str
    search: str
    """How the test set is translated, besides the beam."""
    stop: signal.Signals
    """What ends its training."""

    def command(self, task: Task, folder: Path) -> list[str]:
        """Return the command that trains; what it writes goes into `folder`, which is empty."""
        ...

    def finish(self, task: Task, folder: Path) -> Outcome:
        """Choose among the weights on the validation set, and translate the test set; off the clock."""
        ...


class Ours:
    """`translator train`."""

    title = "translator"
    search = "GNMT length penalty of 0.6"
    stop = signal.SIGTERM

    def command(self, task: Task, folder: Path) -> list[str]:
        """See `Contender`."""
        return [sys.executable, "-m", "translator", "train", *task.words, f"run={folder / 'run'}"]

    def finish(self, task: Task, folder: Path) -> Outcome:
        """See `Contender`: a run that is declared ended chooses among its best checkpoint and its average."""
        run = RunDirectory(folder / "run")
        newest = run.steps()[-1]
        progress = read_checkpoint(run.checkpoint(newest), with_optimizer=False).state
        if not run.has_final():
            words = [word for word in self.command(task, folder) if not word.startswith("training.max_steps=")]
            call(task, [*words, f"training.max_steps={newest}"], folder)
        output = folder / "test.out"
        words = [str(run.root), str(task.test[0]), "--output", str(output), "--set", f"beam_size={task.beam}"]
        call(task, [sys.executable, "-m", "translator", "translate", *words], folder)
        final = read_checkpoint(run.models / "final", with_optimizer=False).state
        names = final["from"]
        weights = f"average of {len(names)}" if len(names) > 1 else f"step {final['step']}"
        return Outcome(
            read_lines(output), progress["step"], progress["target_tokens"], len(progress["history"]), weights,
            final["bleu"],
        )  # fmt: skip


class HuggingFaceLoop:
    """A plain loop around Hugging Face's model."""

    search = "mean log-probability"
    stop = signal.SIGTERM

    def __init__(self, title: str) -> None:
        """`title` is one of `bench_train.VARIANTS`."""
        self.title = title

    def command(self, task: Task, folder: Path) -> list[str]:
        """See `Contender`."""
        return self._call("train", task, folder, "--variant", self.title)

    def finish(self, task: Task, folder: Path) -> Outcome:
        """See `Contender`."""
        output = folder / "test.out"
        words = ["--source", str(task.test[0]), "--output", str(output), "--beam", str(task.beam)]
        call(task, self._call("translate", task, folder, *words), folder)
        state = json.loads((folder / "chosen.json").read_text(encoding="utf-8"))
        return Outcome(read_lines(output), **state)

    def _call(self, what: str, task: Task, folder: Path, *words: str) -> list[str]:
        script = str(ROOT / "scripts" / "peer_hf.py")
        return [sys.executable, script, what, *task.words, "--folder", str(folder), *words]


def call(task: Task, command: list[str], folder: Path) -> None:
    """Run a command to its end; what it prints is appended to the log of the contender."""
    log = folder / "log.txt"
    with log.open("a", encoding="utf-8") as file:
        ended = subprocess.run(command, cwd=ROOT, env=environment(task), stdout=file, stderr=file, check=False)
    if ended.returncode:
        raise SystemExit(f"`{' '.join(command[:4])} ...` ended with {ended.returncode}; see {log}")


def environment(task: Task) -> dict[str, Any]:
    """Return the environment of every process: no more threads than the task allows."""
    return {**os.environ, "OMP_NUM_THREADS": str(task.threads), "TOKENIZERS_PARALLELISM": "false"}


def read_lines(path: Path) -> list[str]:
    """Read a text file; only a line feed ends a line."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
