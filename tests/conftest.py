"""What tests of several rooms share: a run directory with a tiny, untrained model, and a step model made of numbers."""

import contextlib
import io
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before torch: it sets how the threads of OpenMP wait, which torch reads when it is loaded.
import translator  # noqa: F401

# isort: split
import hypothesis
import pytest
import torch
from torch import Tensor

from tests.patience import PATIENCE

# No deadline: while other tests run at the same time, an example can take any time.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")

# What ignores a signal passes that on to the processes that tests start, and some tests wait for what a signal does:
# `nohup` ignores SIGHUP, a shell SIGINT for what it runs in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Fixtures that start a browser, or the program in processes of its own.
SLOW_FIXTURES = {"browser", "launcher", "run_command", "start_ranks", "start_server", "terminate_in_training"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests with these fixtures as slow; a few others are marked where they are written."""
    for item in items:
        if SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


WORDS = "a dog cat man woman child runs sleeps reads in on the red blue big house garden street"


BOS, EOS = 1, 2


@dataclass
class TableState:
    """The source of every sentence and the pieces of every hypothesis."""

    sources: list[tuple[int, ...]]
    prefixes: list[list[tuple[int, ...]]]
    width: int


class TableStepModel:
    """`StepModel` whose logits are any function of (source, prefix); counts its calls."""

    bos_id, eos_id, max_length = BOS, EOS, None
    device = torch.device("cpu")

    def __init__(self, logits: Callable[[tuple[int, ...], tuple[int, ...]], Sequence[float]]) -> None:
        self.logits = logits
        self.calls = 0
        self.capacity = 0

    def start(self, sources: Sequence[Sequence[int]], width: int, capacity: int) -> TableState:
        assert all(len(source) for source in sources)
        self.capacity = capacity
        self.calls = 0
        return TableState([tuple(source) for source in sources], [[()] for _ in sources], width)

    def step(self, tokens: Tensor, state: TableState) -> Tensor:
        self.calls += 1
        assert self.calls <= self.capacity
        for row, hypotheses in zip(tokens.tolist(), state.prefixes, strict=True):
            hypotheses[:] = [(*prefix, token) for prefix, token in zip(hypotheses, row, strict=True)]
            assert all(prefix[0] == BOS for prefix in hypotheses)
        return torch.tensor(
            [
                [self.logits(source, prefix[1:]) for prefix in hypotheses]
                for source, hypotheses in zip(state.sources, state.prefixes, strict=True)
            ]
        )

    def select(self, state: TableState, sentences: Tensor | None, parents: Tensor) -> TableState:
        assert 1 <= parents.size(1) <= state.width
        rows = list(range(len(state.sources))) if sentences is None else sentences.tolist()
        return TableState(
            [state.sources[row] for row in rows],
            [
                [state.prefixes[row][parent] for parent in line]
                for row, line in zip(rows, parents.tolist(), strict=True)
            ],
            state.width,
        )

    def free_device_memory(self) -> None:
        pass


@pytest.fixture(scope="session")
def table_steps() -> type[TableStepModel]:
    return TableStepModel


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory as `translator train` leaves it: width 16, about 300 pieces, random weights.

    Tests that write into it copy it first.
    """
    from translator.checkpoints import Checkpoint, RunDirectory, model_tensors, write_checkpoint
    from translator.config import Config, write_config
    from translator.model import build_model
    from translator.text import train_tokenizers

    config = Config.model_validate(
        {
            "preset": "tiny",
            "data": {"source_language": "en", "target_language": "de", "max_length": 60},
            "tokenizer": {"vocab_size": 320},
            "model": {
                "encoder_layers": 1,
                "decoder_layers": 1,
                "d_model": 16,
                "d_ff": 32,
                "num_heads": 2,
                "max_positions": 64,
            },
            "decoding": {"beam_size": 2, "max_length_extra": 5},
        }
    )
    run = RunDirectory(tmp_path_factory.mktemp("runs") / "tiny")
    lines = [f"{first} {second}." for first in WORDS.split() for second in WORDS.split()]
    tokenizers = train_tokenizers(lambda: zip(lines, reversed(lines), strict=True), config.tokenizer, run.root, seed=1)
    write_config(config, run.config)
    model = build_model(config.model, tokenizers.source.vocab_size, tokenizers.target.vocab_size, config.seed)
    run.models.mkdir()
    write_checkpoint(run.models / "final", Checkpoint(model_tensors(model), {}, {"step": 12}))
    return run.root


@pytest.fixture(scope="session")
def run_command() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Call `translator` with arguments, and `input=` bytes, in a process of its own."""

    def run(*arguments: object, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "translator", *map(str, arguments)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, input=input, capture_output=True, env=environment, timeout=PATIENCE)

    return run


@pytest.fixture
def call_program(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Call the same program in this process, which is quicker: return exit code, stdout and stderr."""
    from translator.cli.app import main

    def call(*arguments: object, input: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["translator", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(input))))
        with pytest.raises(SystemExit) as caught:
            main()
        sys.stdout.flush()
        captured = capfd.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures of matplotlib that are saved."""
    from matplotlib.figure import Figure

    saved: list[Any] = []
    save = Figure.savefig

    def remember(self: Figure, *arguments: Any, **keywords: Any) -> None:
        saved.append(self)
        save(self, *arguments, **keywords)

    monkeypatch.setattr(Figure, "savefig", remember)
    return saved


def free_port() -> int:
    """Return a port for a process that is started later.

    It is below the ports that systems hand out by themselves (from 32768), so that no connection of another program
    takes it meanwhile; drawn at random, because several test processes look for one at the same time.
    """
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@pytest.fixture(scope="session")
def start_ranks() -> Callable[..., list[subprocess.Popen[str]]]:
    """Start a script in several processes that are one job, as torchrun would; without torchrun, which takes longer."""

    def start(size: int, *command: object) -> list[subprocess.Popen[str]]:
        port = free_port()
        job = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        common = {**os.environ, **job, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
        common["PYTHONFAULTHANDLER"] = "1"  # a process that a library aborts says where it was
        return [
            subprocess.Popen(
                [sys.executable, *map(str, command)],
                env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for rank in range(size)
        ]  # fmt: skip

    return start
