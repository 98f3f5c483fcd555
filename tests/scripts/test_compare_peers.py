"""The comparison with peers: its clock, how it keeps results, and the whole of it in toy size."""

import dataclasses
import importlib
import json
import os
import random
import re
import signal
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = [
    "tokenizer.vocab_size=330", "model.encoder_layers=1", "model.decoder_layers=1", "model.d_model=16", "model.d_ff=32",
    "model.num_heads=2", "training.batch_tokens=200", "training.warmup_steps=4", "training.learning_rate=0.01",
    "training.validate_every=4", "training.max_steps=10",
]  # fmt: skip


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("scripts.compare_peers")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, tuple[Path, Path]]:
    """Three sets of toy sentences, each two files."""
    words = {"a dog": "ein Hund", "the cat": "die Katze", "a man": "ein Mann", "the child": "das Kind"}
    verbs = {"sees": "sieht", "likes": "mag", "hears": "hört", "knows": "kennt", "calls": "ruft"}
    pairs = [
        (f"{first} {verb} {second}.", f"{words[first]} {verbs[verb]} {words[second]}.")
        for first in words for verb in verbs for second in words
    ]  # fmt: skip
    random.Random(1).shuffle(pairs)
    found = {}
    for name, chosen in {"train": pairs[:60], "valid": pairs[60:70], "test": pairs[70:]}.items():
        found[name] = (tmp_path / f"{name}.en", tmp_path / f"{name}.de")
        for side, path in enumerate(found[name]):
            path.write_text("".join(f"{pair[side]}\n" for pair in chosen), encoding="utf-8")
    return found


@pytest.fixture
def task(script: ModuleType, files: dict[str, tuple[Path, Path]], tmp_path: Path) -> Any:
    peers = importlib.import_module("scripts.peers")
    return peers.Task(*files.values(), ("preset=tiny", *SETTINGS), 20.0, "wall", 1, 2, tmp_path / "output")


class Fake:
    """A contender that is a program of a few lines."""

    title, search, stop = "fake", "none", signal.SIGTERM

    def __init__(self, program: str) -> None:
        self.program = program

    def command(self, task: Any, folder: Path) -> list[str]:
        return [sys.executable, "-c", self.program]

    def finish(self, task: Any, folder: Path) -> Any:
        translations = [line.upper() for line in task.test[1].read_text(encoding="utf-8").splitlines()]
        return importlib.import_module("scripts.peers").Outcome(translations, 9, 800, 2, "step 5", 12.5)


SAVES = "import pathlib, signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); "
WORKS = SAVES + "pathlib.Path({file!r}).touch()\nwhile True: pass"


@pytest.mark.parametrize("clock", ["wall", "cpu"])
def test_contenders_train_until_their_time_is_over(
    script: ModuleType, task: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    files = {name: tmp_path / name for name in ("one", "two")}
    monkeypatch.setattr(script, "CONTENDERS", {name: Fake(WORKS.format(file=str(files[name]))) for name in files})
    spent, seen = script.Training.spent, []

    def when_ready(self: Any, task: Any) -> float:
        seen.append(spent(self, task))
        # However long it takes them to begin, the time is over a moment later.
        return float(seen[-1]) if all(file.exists() for file in files.values()) else 0.0

    monkeypatch.setattr(script.Training, "spent", when_ready)
    trainings = script.train(["one", "two"], dataclasses.replace(task, minutes=0.1 / 60.0, clock=clock))
    assert [training.process.returncode for training in trainings] == [143, 143]
    assert all(0.0 < training.cpu_seconds <= training.seconds for training in trainings)
    assert max(seen) <= max(training.cpu_seconds if clock == "cpu" else training.seconds for training in trainings)


@pytest.mark.parametrize(("code", "asked", "is_error"), [(0, None, False), (3, None, True), (3, 1.0, True)])
def test_a_training_that_fails_is_reported(
    script: ModuleType, task: Any, monkeypatch: pytest.MonkeyPatch, code: int, asked: float | None, is_error: bool
) -> None:
    monkeypatch.setattr(script, "CONTENDERS", {"one": Fake(f"raise SystemExit({code})")})
    (task.output / "one").mkdir(parents=True)
    training = script.Training.start("one", task, script.CONTENDERS["one"].command(task, task.output / "one"))
    while not training.has_ended(task):
        pass
    training.asked = asked
    problem = training.problem(task)
    if is_error:
        assert re.fullmatch(r"one ended with 3 after \d+ s, expected 0( or 143)?; see .*/one/log\.txt", problem)
    else:
        assert problem is None


def test_who_fails_takes_no_result_from_the_others(
    script: ModuleType, files: dict[str, tuple[Path, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(script, "CONTENDERS", {"one": Fake("raise SystemExit(3)"), "two": Fake("")})
    monkeypatch.setattr(script, "call", lambda *arguments: None)
    corpora = [word for name, pair in files.items() for word in (f"--{name}", *map(str, pair))]
    with pytest.raises(SystemExit, match="one ended with 3 after"):
        script.main(["one", "two", "--together", *corpora, "--output", str(tmp_path / "output")])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    cells = [cell.strip() for cell in rows[2].split("|")[1:-1]]
    assert len(rows) == 3 and cells[:1] + cells[2:7] == ["fake", "9", "800", "2", "step 5", "12.50"]
    # Capitals are other words and other characters, but for names and full stops.
    assert 0.0 < float(cells[8]) < 50.0 and cells[9] == "beam 5, none"


def test_results_of_another_task_are_refused(script: ModuleType, task: Any) -> None:
    wanted = script.conditions(task)
    assert script.kept_results(task, wanted) == {}
    folder = task.output / "hf"
    folder.mkdir(parents=True)
    # As JSON has it.
    (folder / script.RESULT).write_text(json.dumps({"conditions": wanted, "bleu": 30.0}))
    assert script.kept_results(task, wanted)["hf"]["bleu"] == 30.0
    with pytest.raises(SystemExit, match="hf/result.json was measured under other conditions"):
        script.kept_results(task, script.conditions(dataclasses.replace(task, minutes=10.0)))


@pytest.mark.slow
def test_the_whole_comparison_in_toy_size(
    script: ModuleType, files: dict[str, tuple[Path, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    pytest.importorskip("transformers", reason="transformers is what is compared with: install the bench extra")
    output, figures = tmp_path / "output", tmp_path / "figures.json"
    corpora = [word for name, pair in files.items() for word in (f"--{name}", *map(str, pair))]
    options = [*corpora, "--output", str(output), "--minutes", "5", "--threads", "1", "--json", str(figures)]
    # Both end by themselves, after `training.max_steps`.
    script.main(["ours", *options, *SETTINGS])
    first = json.loads(figures.read_text())["contenders"]
    assert list(first) == ["ours"]
    script.main(["ours", "hf-bf16", "--together", *options, *SETTINGS])
    found = json.loads(figures.read_text())["contenders"]
    assert list(found) == ["ours", "hf-bf16"] and found["ours"] == first["ours"]
    for own in found.values():
        # A target token is a piece or the end of a sentence: as many for both, as they had the same batches.
        assert (own["steps"], own["target_tokens"]) == (10, first["ours"]["target_tokens"])
        assert len(own["translations"]) == 10 and own["cpu_seconds"] > 0.0
        assert 0.0 <= own["bleu"] <= 100.0 and 0.0 <= own["chrf"] <= 100.0
        assert [signature.split("|")[0] for signature in own["signatures"]] == ["nrefs:1", "nrefs:1"]
    assert found["hf-bf16"]["validations"] == 2 and found["hf-bf16"]["weights"] in ("step 4", "step 8", "step 10")
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert [row.split("|")[1].strip() for row in rows[-2:]] == ["translator", "HF in bf16 autocast"]
    # A run that was stopped before its end is declared ended, and its weights are chosen then.
    peers = importlib.import_module("scripts.peers")
    run = output / "ours" / "run"
    for path in (run / "models").iterdir():
        importlib.import_module("shutil").rmtree(path)
    task = peers.Task(*files.values(), ("preset=tiny", *SETTINGS), 20.0, "wall", 1, 5, output)
    again = peers.Ours().finish(task, output / "ours")
    assert again.translations == found["ours"]["translations"] and again.weights == found["ours"]["weights"]


def test_joeynmt_has_the_recipe_of_the_task(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    joeynmt = importlib.import_module("scripts.peer_joeynmt")
    settings = joeynmt.joeynmt_settings(task.config(), task, task.output / "joeynmt", every=7)
    training = settings["training"]
    assert (training["learning_rate"], training["learning_rate_warmup"], training["updates"]) == (0.01, 4, 10)
    assert (training["batch_size"], training["label_smoothing"], training["validation_freq"]) == (200, 0.1, 7)
    for side in ("encoder", "decoder"):
        stack = settings["model"][side]
        assert (stack["num_layers"], stack["num_heads"], stack["hidden_size"], stack["ff_size"]) == (1, 2, 16, 32)
        assert (stack["dropout"], stack["layer_norm"], stack["activation"]) == (0.3, "pre", "relu")
    assert [settings["data"][side]["lang"] for side in ("src", "trg")] == ["en", "de"]
    # 3 sentences of at most 9 pieces and an end reach 25; so do 4 of 7.
    lengths = SimpleNamespace(source_lengths=np.array([9] * 30), target_lengths=np.array([2] * 30))
    assert joeynmt.steps_of_an_epoch(lengths, 25) == 10
    lengths = SimpleNamespace(source_lengths=np.array([2] * 30), target_lengths=np.array([6] * 30))
    assert joeynmt.steps_of_an_epoch(lengths, 25) == 7
    monkeypatch.delenv("JOEYNMT_PYTHON", raising=False)
    with pytest.raises(SystemExit, match="joeynmt needs JOEYNMT_PYTHON"):
        joeynmt.python()


@pytest.mark.slow
@pytest.mark.skipif("JOEYNMT_PYTHON" not in os.environ, reason="needs JoeyNMT; see scripts/peer_joeynmt.py")
def test_joeynmt_in_toy_size(script: ModuleType, files: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    corpora = [word for name, pair in files.items() for word in (f"--{name}", *map(str, pair))]
    options = [*corpora, "--output", str(tmp_path / "output"), "--minutes", "5", "--threads", "1"]
    script.main(["joeynmt", *options, *SETTINGS])
    found = json.loads((tmp_path / "output" / "joeynmt" / script.RESULT).read_text())
    assert found["steps"] == 10 and found["target_tokens"] > 500 and found["validations"] >= 1
    assert len(found["translations"]) == 10 and found["weights"].startswith("step ")
