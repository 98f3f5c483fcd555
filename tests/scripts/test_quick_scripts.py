"""Scripts that are run by hand, once each in toy size: they use the insides of the package, which change."""

import argparse
import importlib
import json
import random
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Pipe as make_pipe
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from translator.config import load_config

ROOT = Path(__file__).parents[2]
RECIPE = """
preset: tiny
data: {{train: '{corpus}/train.{{en,de}}', valid: '{corpus}/valid.{{en,de}}'}}
tokenizer: {{vocab_size: 320}}
model: {{encoder_layers: 1, decoder_layers: 1, d_model: 16, d_ff: 32, num_heads: 2}}
training: {{max_steps: 4, batch_tokens: 200, warmup_steps: 2, validate_every: 2, validation_sentences: 4}}
"""


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import a script; those that import each other as files need their folder."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return lambda name: importlib.import_module(f"scripts.{name}")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Run the `main` of a script with arguments; return the lines that it printed."""

    def call(script: ModuleType, *arguments: object) -> list[str]:
        monkeypatch.setattr(sys, "argv", [f"{script.__name__}.py", *map(str, arguments)])
        capsys.readouterr()
        script.main()
        return capsys.readouterr().out.splitlines()

    return call


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Train, valid and test, 60 and 6 and 6 pairs of a few words each, in a directory."""
    nouns = {"dog": "Hund", "man": "Mann", "boy": "Junge", "king": "König", "cook": "Koch", "bear": "Bär"}
    verbs = {"sleeps": "schläft", "reads": "liest", "runs": "rennt", "sings": "singt"}
    ends = {"": "", " today": " heute", " at home": " zu Hause"}
    pairs = [
        (f"the {noun} {verb}{end}.", f"der {nouns[noun]} {verbs[verb]}{ends[end]}.")
        for noun in nouns for verb in verbs for end in ends
    ]  # fmt: skip
    random.Random(1).shuffle(pairs)
    for name, chosen in {"train": pairs[:60], "valid": pairs[60:66], "test": pairs[66:]}.items():
        for side, language in enumerate(("en", "de")):
            text = "".join(f"{pair[side]}\n" for pair in chosen)
            (tmp_path / f"{name}.{language}").write_text(text, encoding="utf-8")
    return tmp_path


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_a_test_set_is_altered(load: Any, run: Any, corpus: Path) -> None:
    sides = [corpus / "test.en", corpus / "test.de"]
    outputs = [corpus / "upper.en", corpus / "upper.de"]
    run(load("altered_test"), "upper_case", *sides, *outputs)
    for side, output in zip(sides, outputs, strict=True):
        assert lines_of(output) == [line.upper() for line in lines_of(side)]
    run(load("altered_test"), "typos", *sides, *outputs)
    assert lines_of(outputs[1]) == lines_of(sides[1]) and lines_of(outputs[0]) != lines_of(sides[0])


def test_a_translation_memory_is_read(load: Any, run: Any) -> None:
    printed = run(load("bench_tmx"), "--units", 50)
    assert printed[1].startswith("50 pairs in ") and "MiB before reading" in printed[1]


def test_speeds_of_runs_are_compared(load: Any, run: Any, tiny_run: Path, corpus: Path) -> None:
    options = ["--source", corpus / "test.en", "--beam", 1, 2, "--turns", 1, "--threads", 1]
    printed = run(load("compare_speed"), tiny_run, *options)
    assert printed[0].startswith("6 lines of test.en; 1 turns; {'cpu': ")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed[4:]]
    assert [(row[0], row[2], row[4]) for row in rows] == [("tiny", "1", "1.000"), ("tiny", "2", "1.000")]


def test_recipes_are_compared_and_kept(load: Any, run: Any, corpus: Path) -> None:
    script, config, output = load("compare_recipes"), corpus / "toy.yaml", corpus / "recipes"
    config.write_text(RECIPE.format(corpus=corpus), encoding="utf-8")
    options = [config, "--output", output, "--source", corpus / "test.en", "--reference", corpus / "test.de"]
    options += ["--seeds", 2, "--recipe", "plain=training.average_last=1", "threads=1"]
    options += ["--recipe", "averaged one=training.average_last=2,training.keep_last=2"]
    printed = run(script, *options)
    kept = [json.loads((output / f"averaged-one-{seed}" / "compared.json").read_text()) for seed in (1, 2)]
    assert all(one["tokens"] > 100 and len(one["translations"]) == 6 for one in kept)
    assert kept[0]["loss"] != kept[1]["loss"]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed[2:4]]
    assert [row[0] for row in rows] == ["plain", "averaged one"]
    losses = [one["loss"] for one in kept]
    assert rows[1][3] == f"{sum(losses) / 2:.3f} ± {abs(losses[0] - losses[1]) / 2:.3f}"
    # A p-value for each seed, against the first recipe.
    assert rows[0][-1] == "" and len([float(value) for value in rows[1][-1].split(",")]) == 2
    assert [line[:7] for line in printed[5:]] == ["nrefs:1", "nrefs:1"]
    # A second call trains nothing, so that it needs no training text.
    for side in ("en", "de"):
        (corpus / f"train.{side}").unlink()
    assert run(script, *options) == printed


def test_shapes_that_are_exported_have_settings_that_exist(load: Any, tmp_path: Path) -> None:
    script = load("export_shapes")
    for stated in script.SHAPES.values():
        words = [setting.replace("{directory}", str(tmp_path)) for setting in stated]
        load_config(ROOT / "configs/sample-en-de.yaml", [f"run={tmp_path}", *script._COMMON, *words])


def test_a_run_is_checked_against_its_exports(
    load: Any, run: Any, tiny_run: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("transformers", "ctranslate2"):
        pytest.importorskip(library, reason="runs are compared with it: install the bench extra")
    script = load("check_exports")
    # An untrained model writes as long as it may.
    monkeypatch.setattr(importlib.import_module("export_checks"), "LONGEST", 20)
    options = ["--source", corpus / "test.en", "--reference", corpus / "test.de", "--lines", 4]
    printed = run(script, tiny_run, *options)
    cells = [cell.strip() for cell in printed[2].split("|")[1:-1]]
    assert cells[:2] == ["tiny", "MarianMTModel"] and float(cells[2]) < 1e-4
    # The same pieces, and the same greedy translations; with a beam, an untrained model has ties.
    assert cells[3:5] == ["4", "4"] and len(cells) == 10


class ThreadProcess:
    """A thread in the place of a process."""

    def __init__(self, target: Callable[..., None], args: tuple[Any, ...], daemon: bool) -> None:
        theirs, *others = args
        self.start = threading.Thread(target=target, args=(theirs, *others), daemon=daemon).start


def test_training_is_timed_beside_the_inspector(load: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    script = load("bench_inspection")
    context = SimpleNamespace(Pipe=make_pipe, Process=ThreadProcess)
    monkeypatch.setattr(script.multiprocessing, "get_context", lambda method: context)
    make_batch = script._batch
    monkeypatch.setattr(script, "_batch", lambda tokens: make_batch(64))
    printed = run(script, "--threads", 1, "--turns", 2, "--steps", 1)
    assert printed[1].startswith("seconds of a step: ") and "; ratio " in printed[1]


def test_a_larger_corpus_is_made_and_prepared(
    load: Any, run: Any, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = load("bench_prepare")

    def run_step(options: argparse.Namespace, step: str, settings: list[str]) -> Any:
        own = argparse.Namespace(**{**vars(options), "set": [*settings, *options.set]})
        return script.STEPS[step](own)

    monkeypatch.setattr(script, "run_step", run_step)
    monkeypatch.setattr(script, "PART", 100)
    pattern, directory = f"{corpus}/train.{{en,de}}", corpus / "grown"
    small = ["--set", "preset=tiny", "--set", "tokenizer.vocab_size=340", "--set", "data.workers=1"]
    printed = run(script, pattern, "--grow", 150, "--directory", directory, *small)
    assert printed[-2].startswith("150 pairs: prepared in ")
    # A tenth is held out for validation.
    assert printed[-1].startswith("135 pairs: first batch after ")
    parts = [lines_of(directory / f"part-{name}.en") for name in ("0-100", "1-50")]
    assert [len(part) for part in parts] == [100, 50] and len(set(parts[0] + parts[1])) == 150
    printed = run(script, pattern, "--simulate", 500, "--directory", corpus / "simulated", *small)
    assert printed[-1].startswith("500 pairs: first batch after ")


@pytest.mark.slow
def test_a_killed_translation_is_continued(load: Any, run: Any, tiny_run: Path, corpus: Path) -> None:
    printed = run(load("check_resume"), tiny_run, corpus / "test.en", "--lines", 300, "--kills", 1)
    assert printed[0].startswith("300 lines in ") and printed[-1] == "300 lines came out; every byte is equal"
