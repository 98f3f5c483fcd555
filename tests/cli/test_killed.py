"""A command that is killed at any disk call leaves what was there before, or what it was to write."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import translator
from translator.checkpoints import Checkpoint, RunDirectory, read_checkpoint, write_checkpoint

pytestmark = pytest.mark.slow

TEXT = "".join(f"a {word} runs in the {word} house .\n" for word in "abcdefghijkl")
SMALL = (
    "data.train=[in.txt,ref.txt]", "data.source_language=en", "data.target_language=de", "tokenizer.vocab_size=300",
    "data.prepared=prepared", "run=new", "preset=tiny", "data.held_out=2",
)  # fmt: skip
MACHINE = ("--set", "device=cpu", "--set", "threads=1")
FEW = (*MACHINE, "--set", "beam_size=1")
TESTED = ("--source", "in.txt", "--reference", "ref.txt")

COMMANDS: dict[str, tuple[str, ...]] = {
    "tokenizer train": ("tokenizer", "train", "in.txt", "--output", "out.model", "--set", "vocab_size=300"),
    "data prepare": ("data", "prepare", *SMALL, "data.max_length=50"),
    "average": ("average", "run", "--name", "mean"),
    "prune": ("prune", "run", "--heads", "encoder.1.1", "--output", "pruned"),
    "evaluate": ("evaluate", "run", *TESTED, "--engine", "native", *FEW),
    "translate": ("translate", "run", "in.txt", "--output", "out.txt", "--engine", "native", *FEW),
    "synthesize": (
        "synthesize",
        "run",
        "--input",
        "in.txt",
        "--output",
        "syn",
        "--shard-lines",
        "5",
        "--engine",
        "native",
        *FEW,
    ),
    "export": ("translate", "run", "in.txt", "--engine", "ctranslate2", *FEW),
    "heads": ("heads", "run", *TESTED, "--output", "out.json", *MACHINE),
    "attention": ("attention", "run", "a dog runs .", "--output", "out.html", *FEW),
    "plot": ("plot", "run"),
}
WRITTEN = {
    "tokenizer train": ["out.model"],
    "data prepare": ["prepared"],
    "average": ["run/models/mean"],
    "prune": ["pruned"],
    "evaluate": ["run/scores.json"],
    "translate": ["out.txt"],
    "synthesize": ["syn/request.json", *(f"syn/part-0000{index}.tsv.zst" for index in range(3)), "syn/manifest.json"],
    "export": ["run/exports"],
    "heads": ["out.json"],
    "attention": ["out.html"],
    "plot": ["run/plot.png"],
}


@pytest.fixture
def folder(tmp_path: Path, tiny_run: Path, call_program: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory where every command has been used before, so that it replaces something."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    run = RunDirectory(folder / "run")
    shutil.copytree(tiny_run, run.root, ignore=shutil.ignore_patterns("exports"))
    weights = read_checkpoint(run.models / "final").weights
    for step in (10, 20):
        changed = {name: weight + step for name, weight in weights.items()}
        write_checkpoint(run.checkpoint(step), Checkpoint(changed, {}, {"step": step}))
    run.metrics.write_text('{"kind": "train", "step": 1, "time": 1.0, "loss": 2.0, "nll": 2.0}\n')
    for name in ("in.txt", "ref.txt"):
        (folder / name).write_text(TEXT)
    for name in ("out.model", "out.txt", "out.json", "out.html", "run/plot.png"):
        (folder / name).write_text("old")
    for arguments in (
        ("average", "run", "--name", "mean", "--last", "1"),
        ("evaluate", "run", *TESTED, "--engine", "native", *FEW),
        ("data", "prepare", *SMALL),
    ):
        code, _, errors = call_program(*arguments)
        assert code == 0, errors
    return folder


def parts(files: dict[str, str], written: list[str]) -> dict[str, dict[str, str]]:
    """Sort files by the outputs that they belong to."""
    return {
        output: {name: digest for name, digest in files.items() if name == output or name.startswith(f"{output}/")}
        for output in written
    }


def test_every_command_leaves_the_old_or_the_new(folder: Path) -> None:
    program = [sys.executable, str(Path(__file__).with_name("killed.py"))]
    environment = {
        **os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg",
        "PYTHONPATH": str(Path(translator.__file__).parents[1]),
    }  # fmt: skip
    commands = []
    for name, arguments in COMMANDS.items():
        copy = folder.with_name(name.replace(" ", "-"))
        shutil.copytree(folder, copy)
        commands.append({"arguments": arguments, "folder": str(copy)})
    begun = time.monotonic()
    result = subprocess.run(
        program, input=json.dumps(commands), capture_output=True, text=True, env=environment, timeout=600
    )
    assert result.returncode == 0, result.stderr[-3000:]
    deaths = {}
    for (name, written), found in zip(WRITTEN.items(), json.loads(result.stdout), strict=True):
        assert found["code"] == 0, result.stderr[-3000:]
        before, *_, after = [parts(files, written) for files in (found["before"], *found["left"])]
        assert before != after, name
        for number, files in enumerate(found["left"]):
            for output, content in parts(files, written).items():
                assert content in (before[output], after[output]), f"{name}, killed before call {number}: {output}"
            others = {file for file in found["before"] if not any(file.startswith(output) for output in written)}
            assert {file: files.get(file) for file in others} == {file: found["before"][file] for file in others}
        assert not found["hidden"], name
        deaths[name] = len(found["left"]) - 1
    assert all(count >= 4 for count in deaths.values()), deaths
    print(f"{sum(deaths.values())} deaths in {time.monotonic() - begun:.0f} s: {deaths}")
