"""Damaged run directories through every command that reads them: every file and directory, damaged in every way.

A command must end with the results that the intact run gives, or say what is wrong. A silent loss is an exit code of 0
with other results, and nothing on stderr that names what was damaged. What is refused changes nothing of the run.
"""

import contextlib
import json
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from tests.fuzz.conftest import Attempts, Hang, watched
from translator.cli.app import make_app
from translator.cli.boundary import run_program
from translator.config import read_run_config
from translator.errors import TranslatorError

SETTINGS = """
preset: tiny
data: {max_length: 60}
tokenizer: {vocab_size: 340}
model: {encoder_layers: 1, decoder_layers: 1, d_model: 16, d_ff: 32, num_heads: 2, max_positions: 64}
decoding: {beam_size: 2, max_length_extra: 5}
training:
  max_steps: 6
  batch_tokens: 400
  warmup_steps: 2
  learning_rate: 0.02
  validate_every: 2
  validation_sentences: 4
  validation_samples: 1
  keep_last: 3
  average_last: 2
"""
SUBJECTS = {
    "the dog": "der Hund", "a cat": "eine Katze", "my friend": "mein Freund", "the old man": "der alte Mann",
    "this child": "dieses Kind", "a woman": "eine Frau", "our teacher": "unser Lehrer", "the king": "der König",
}  # fmt: skip
VERBS = {"sleeps": "schläft", "reads": "liest", "runs": "rennt", "sings": "singt", "waits": "wartet"}
PLACES = {"": "", " today": " heute", " in the garden": " im Garten", " at home": " zu Hause", " here": " hier"}


class Ended(NamedTuple):
    """How the program ended."""

    code: int
    out: str
    said: str


class Outcome(NamedTuple):
    """How a command ended, and the results by which it is compared with the same command on the intact run."""

    code: int
    said: str
    results: Any


Program = Callable[..., Ended]
Command = Callable[[Program, Path, Path], Outcome]
Damage = Callable[[Path, Random], object]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Program:
    """Call the program in this process."""
    app = make_app()

    def call(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["translator", *map(str, arguments)])
        code = run_program(lambda: app(standalone_mode=False))
        return Ended(code, *capfd.readouterr())

    return call


def make_run(directory: Path, program: Program, change: Callable[[str], str] = str) -> Path:
    """Train a run on text that `change` has changed, with all that commands keep in a run; return its directory."""
    pairs = [
        (change(f"{subject}{place} {verb}."), change(f"{betreff}{ort} {verbum}."))
        for subject, betreff in SUBJECTS.items()
        for verb, verbum in VERBS.items()
        for place, ort in PLACES.items()
    ]
    directory.mkdir()
    # A hundred pairs for validation are enough to keep the head that alignments come from.
    for name, part in {"train": pairs[:-120], "valid": pairs[-120:], "test": pairs[:8]}.items():
        for side, language in enumerate(("en", "de")):
            (directory / f"{name}.{language}").write_text("".join(f"{pair[side]}\n" for pair in part), "utf-8")
    settings = directory / "settings.yaml"
    settings.write_text(SETTINGS)
    run = directory / "run"
    corpora = (f"data.{name}={directory}/{name}.{{en,de}}" for name in ("train", "valid"))
    for ended in (
        program("train", settings, *corpora, f"run={run}"),
        program("translate", run, directory / "test.en"),
        program("evaluate", run, "--source", directory / "test.en", "--reference", directory / "test.de"),
        program("average", run, "--last", "2"),
    ):
        assert ended.code == 0, ended.said
    return run


def translate(program: Program, run: Path, corpus: Path) -> Outcome:
    """Lines with their scores, by CTranslate2."""
    ended = program("translate", run, corpus / "test.en", "--format", "tsv")
    return Outcome(ended.code, ended.said, ended.out)


def align(program: Program, run: Path, corpus: Path) -> Outcome:
    """Lines with their word alignments, by the native engine."""
    ended = program("translate", run, corpus / "test.en", "--format", "jsonl", "--engine", "native")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    return Outcome(ended.code, ended.said, [(line["hypotheses"], line["warnings"]) for line in lines])


def evaluate(program: Program, run: Path, corpus: Path) -> Outcome:
    """Scores, and how many evaluations the run keeps."""
    ended = program("evaluate", run, "--source", corpus / "test.en", "--reference", corpus / "test.de")
    scores, kept = run / "scores.json", 0
    with contextlib.suppress(ValueError):
        kept = len(json.loads(scores.read_bytes())) if scores.is_file() else 0
    return Outcome(ended.code, ended.said, (ended.out, kept))


def train(program: Program, run: Path, corpus: Path) -> Outcome:
    """Two steps more than the run has."""
    ended = program("train", run / "config.yaml", "training.max_steps=8")
    return Outcome(ended.code, ended.said, digests(run, "models/final", "tokenizer.model"))


def train_again(program: Program, run: Path, corpus: Path) -> Outcome:
    """The command that the run was made with, though it has ended."""
    ended = program("train", run / "config.yaml")
    return Outcome(ended.code, ended.said, digests(run, "models/final", "tokenizer.model"))


def average(program: Program, run: Path, corpus: Path) -> Outcome:
    """The mean of the last two checkpoints. Stdout names them: who misses one of those that are left sees it there."""
    ended = program("average", run, "--last", "2", "--name", "mean")
    return Outcome(
        ended.code, ended.said + ended.out.replace("average of", "checkpoints:"), digests(run, "models/mean")
    )


def prune(program: Program, run: Path, corpus: Path) -> Outcome:
    """The run without one of its heads."""
    pruned = run.parent / "pruned"
    ended = program("prune", run, "--heads", "cross.1.2", "--output", pruned)
    return Outcome(ended.code, ended.said, digests(pruned, "models", "checkpoints", "tokenizer.model"))


COMMANDS: tuple[Command, ...] = (translate, align, evaluate, train, train_again, average, prune)


def digests(run: Path, *names: str) -> dict[str, str]:
    """Identify files of a run by content: those called so, and weights in directories called so."""
    found = {}
    for name in names:
        for file in sorted([run / name, *run.glob(f"{name}/**/*.safetensors")]):
            if file.is_file():
                found[str(file.relative_to(run))] = sha256(file.read_bytes()).hexdigest()
    return found


def truncate(path: Path, random: Random) -> None:
    os.truncate(path, random.randrange(path.stat().st_size))


def flip(path: Path, random: Random) -> None:
    data = bytearray(path.read_bytes())
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    path.write_bytes(data)


def zero(path: Path, random: Random) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def delete(path: Path, random: Random) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def put_directory(path: Path, random: Random) -> None:
    path.unlink()
    path.mkdir()


def put_file(path: Path, random: Random) -> None:
    shutil.rmtree(path)
    path.write_bytes(random.randbytes(random.randrange(100)))


def put_dangling_link(path: Path, random: Random) -> None:
    delete(path, random)
    path.symlink_to("nowhere")


def put_circular_link(path: Path, random: Random) -> None:
    delete(path, random)
    path.symlink_to(path.name)


def put_pipe(path: Path, random: Random) -> None:
    delete(path, random)
    os.mkfifo(path)


def put_foreign(other: Path) -> Damage:
    def put_foreign_content(path: Path, random: Random) -> None:
        shutil.copyfile(other, path)

    return put_foreign_content


TO_FILES: tuple[Damage, ...] = (
    truncate,
    flip,
    zero,
    delete,
    put_directory,
    put_dangling_link,
    put_circular_link,
    put_pipe,
)
TO_DIRECTORIES: tuple[Damage, ...] = (delete, put_file, put_dangling_link, put_circular_link)


def damages(whole: Path, foreign: Path) -> Iterator[tuple[str, Damage, Command]]:
    """Every path in a run with every damage and every command; `foreign` is another run of the same shape."""
    for path in sorted(whole.rglob("*")):
        name = str(path.relative_to(whole))
        ways = [*(TO_DIRECTORIES if path.is_dir() else TO_FILES)]
        if (foreign / name).is_file():
            ways.append(put_foreign(foreign / name))
        for damage in ways:
            for command in COMMANDS:
                yield name, damage, command


def test_whatever_happened_to_a_run(attempts: Attempts, tmp_path: Path, program: Program) -> None:
    corpus, run = tmp_path / "whole", tmp_path / "used" / "run"
    whole = make_run(corpus, program)
    cases = list(damages(whole, make_run(tmp_path / "foreign", program, str.upper)))
    Random(1).shuffle(cases)

    def put_whole() -> None:
        shutil.rmtree(run.parent, ignore_errors=True)
        shutil.copytree(whole, run)

    intact = {}
    for command in COMMANDS:
        put_whole()
        intact[command] = command(program, run, corpus)
        assert intact[command].code == 0, intact[command].said
    counts, problems = Counter[str](), []
    for number, random in attempts(len(cases), 100):
        name, damage, command = cases[number % len(cases)]
        put_whole()
        damage(run / name, random)
        before = digests(run, "checkpoints", "models", "tokenizer.model", "config.yaml")
        try:
            with watched(number):
                found = command(program, run, corpus)
        except (Hang, AssertionError) as error:
            ending, problem = "hang" if isinstance(error, Hang) else "failure", str(error)
        else:
            ending, problem = judge(found, intact[command], name)
            if ending == "silent" and name == "config.yaml" and is_edited(run, whole):
                ending, problem = "edited", ""
            after = digests(run, "checkpoints", "models", "tokenizer.model", "config.yaml")
            if found.code and before != after:
                ending, problem = "changed", f"{before.items() ^ after.items()}"
        counts[ending] += 1
        if problem:
            problems.append(f"input {number}: {command.__name__} after {damage.__name__} of {name}: {ending} {problem}")
    print(f"{len(cases)} cases: {dict(counts)}")
    assert not problems, "\n".join(problems)


def judge(found: Outcome, intact: Outcome, name: str) -> tuple[str, str]:
    """Name the way a command ended after `name` was damaged, and what is wrong with it, if anything is."""
    if "Traceback" in found.said or "this is a bug" in found.said:
        return "traceback", found.said[-2000:]
    if found.code not in (0, 1):
        return "odd code", f"{found.code}: {found.said[-500:]}"
    if found.code == 0 and found.results == intact.results:
        return "same", ""
    if names_damage(found.said, intact.said, name):
        return ("refused" if found.code else "said"), ""
    return ("unnamed" if found.code else "silent"), f"{found.said[-500:]} {found.results}, intact {intact.results}"


def names_damage(said: str, usual: str, name: str) -> bool:
    """Whether a line that is not `usual` names the damaged path, or a directory that it is in."""
    # Times and losses are never the same.
    lines, known = ({re.sub(r"(?<!step-)\b\d+", "#", line) for line in text.splitlines()} for text in (said, usual))
    parts = [*Path(name).parts, *(["settings"] if name == "config.yaml" else [])]
    return any(re.sub(r"(?<!step-)\b\d+", "#", part) in line for line in lines - known for part in parts)


def is_edited(run: Path, whole: Path) -> bool:
    """Whether the settings of the run are other valid ones: they are there to be edited."""
    with contextlib.suppress(TranslatorError):
        return read_run_config(run) != read_run_config(whole)
    return False
