"""A student trained on its teachers' translations by one command, which outlives a kill at any step."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.patience import PATIENCE
from translator.checkpoints import RunDirectory, read_checkpoint
from translator.config import (
    Config,
    DataSettings,
    DecodingSettings,
    complete_config,
    entries_of,
    read_run_config,
    write_config,
)
from translator.errors import ConfigError
from translator.synthesis import Wanted, distill, student_config
from translator.text import load_tokenizers, open_corpus

SHAPE = [
    "preset=student-tiny", "model.encoder_layers=1", "model.d_model=16", "model.d_ff=32", "model.num_heads=2",
    "training.batch_tokens=64", "training.validation_sentences=4", "training.validate_every=2",
    "data.max_length_ratio=1000", "device=cpu", "threads=1",
]  # fmt: skip
SEARCH = ["--engine", "native", "--set", "max_length_factor=1", "--shard-lines", "10"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two training corpora and one for validation, whose lines are all different."""
    for name, lines in (("one", 40), ("two", 25), ("valid", 6)):
        for side in ("en", "de"):
            texts = [f"{name} {number} {'dog' if side == 'en' else 'Hund'}" for number in range(lines)]
            (tmp_path / f"{name}.{side}").write_text("\n".join(texts) + "\n")
    return tmp_path


def test_a_student_takes_what_is_not_stated_from_its_teacher(tiny_run: Path) -> None:
    student = student_config(tiny_run, "runs/student", ["data.train=other.{en,de}", "training.max_steps=7"])
    assert (student.preset, student.run, student.training.max_steps) == ("student", "runs/student", 7)
    assert (student.data.train, student.data.max_length, student.data.target_language) == ("other.{en,de}", 60, "de")
    assert student.tokenizer.model == str(tiny_run / "tokenizer.model")
    assert student.model.decoder_layers == 2
    own = student_config(tiny_run, "runs/student", ["tokenizer.vocab_size=400", "preset=student-tiny"])
    assert (own.tokenizer.model, own.tokenizer.vocab_size, own.preset) == (None, 400, "student-tiny")
    for word in ("run=elsewhere", "start_from=runs/base", "data.prepared=there"):
        with pytest.raises(ConfigError):
            student_config(tiny_run, "runs/student", [word])


def test_a_student_does_not_learn_the_links_of_its_teacher(tiny_run: Path, tmp_path: Path) -> None:
    """They belong to the references, and not to what the teacher makes of the sources."""
    teacher = tmp_path / "teacher"
    shutil.copytree(tiny_run, teacher)
    config = read_run_config(teacher)
    for linked in ({"train": "a.{en,de}", "alignments": "a.links"},
                   {"train": [{"path": "a.{en,de}", "alignments": "a.links"}, {"path": "b.{en,de}"}]}):  # fmt: skip
        data = DataSettings.model_validate({**config.data.model_dump(exclude_unset=True), **linked})
        write_config(config.model_copy(update={"data": data}), teacher / "config.yaml")
        student = student_config(teacher, "runs/student").data
        assert student.alignments is None and [entry.alignments for entry in entries_of(student.train)][0] is None
        with pytest.raises(ConfigError, match="no training corpus has word links"):
            student_config(teacher, "runs/student", ["training.guided_alignment=0.1"])
    with pytest.raises(ConfigError, match="alignments: a student learns from translations of its teachers"):
        student_config(teacher, "runs/student", ["data.train=c.{en,de}", "data.alignments=c.links"])


def test_what_belongs_to_the_references_is_not_taken_for_the_translations(
    tiny_run: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their scores are not those of the translations, and as one of two corpora they go in the same direction."""
    asked: list[DataSettings] = []
    module = sys.modules[distill.__module__]
    monkeypatch.setattr(module, "synthesize", lambda *_, **__: None)
    monkeypatch.setattr(module, "train", lambda config: asked.append(config.data))
    reversed_sides = ["data.source_language=de", "data.target_language=en"]
    for words in ([f"data.train={corpus}/one.{{en,de}}", *reversed_sides],
                  [f"data.train=[{{path: '{corpus}/one.{{en,de}}', scores: {corpus}/scores}}]"]):  # fmt: skip
        student = student_config(tiny_run, corpus / "student", [*SHAPE, *words])
        distill(None, student, corpus / "made", DecodingSettings(), Wanted(), references=True)  # type: ignore[arg-type]
    for references, made in (entries_of(data.train) for data in asked):
        assert (references.path, made.path) == (f"{corpus}/one.{{en,de}}", str(corpus / "made" / "corpus-1"))
    swapped, scored = (entries_of(data.train) for data in asked)
    assert [(entry.source_language, entry.target_language) for entry in swapped] == [("de", "en"), ("de", "en")]
    assert [entry.scores for entry in scored] == [f"{corpus}/scores", None]


def test_translations_have_the_weights_of_their_references_in_stages(
    tiny_run: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Config] = []
    module = sys.modules[distill.__module__]
    monkeypatch.setattr(module, "synthesize", lambda *_, **__: None)
    monkeypatch.setattr(module, "train", lambda config: asked.append(complete_config(config)))
    words = [f"data.train=[{{path: '{corpus}/one.{{en,de}}'}}, {{path: '{corpus}/two.{{en,de}}'}}]",
             "training.stages=[{until: 2, weights: [1, 0]}, {weights: [1, 3]}]"]  # fmt: skip
    student = student_config(tiny_run, corpus / "student", [*SHAPE, *words])
    teacher: Any = None
    for references in (True, False):
        distill(teacher, student, corpus / "made", DecodingSettings(), Wanted(), references=references)
    weights = [[stage.weights for stage in config.training.stages] for config in asked]
    assert weights == [[[1, 0, 1, 0], [1, 3, 1, 3]], [[1, 0], [1, 3]]]


def test_a_student_in_the_working_directory(
    tiny_run: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch, call_program: Callable[..., Any]
) -> None:
    """The translations are next to it, as if its name had been given."""
    asked: list[Path] = []
    monkeypatch.setattr("translator.synthesis.distill", lambda *words, **_: asked.append(words[2]))
    for directory in (corpus / "student", corpus / "student" / "logs"):
        directory.mkdir()
    monkeypatch.chdir(corpus / "student")
    data = f"data.train={corpus}/one.{{en,de}}"
    call_program("distill", tiny_run, "--run", ".", *SHAPE, data)
    monkeypatch.chdir(corpus / "student" / "logs")
    call_program("distill", tiny_run, "--run", "..", *SHAPE, data)
    assert asked == [corpus / "student.synthetic"] * 2


def test_teachers_translate_every_corpus_and_the_student_learns_from_that(
    tiny_run: Path, corpus: Path, call_program: Callable[..., Any]
) -> None:
    train = f"data.train=[{{path: '{corpus}/one.{{en,de}}', weight: 2}}, {{path: '{corpus}/two.{{en,de}}', weight: 1}}]"
    words = [*SHAPE, train, f"data.valid={corpus}/valid.{{en,de}}", "training.max_steps=4"]
    command = ("distill", tiny_run, tiny_run, "--run", corpus / "student", *words, *SEARCH, "--nearest")
    code, output, errors = call_program(*command)
    assert (code, output) == (0, f"{corpus / 'student'}\n"), errors
    config = read_run_config(corpus / "student")
    assert isinstance(config.data.train, list)
    made = [corpus / "student.synthetic" / f"corpus-{number}" for number in (1, 2)]
    assert [(entry.path, entry.weight) for entry in config.data.train] == [(str(made[0]), 2.0), (str(made[1]), 1.0)]
    for directory, name in zip(made, ("one", "two"), strict=True):
        sources = [line for line in (corpus / f"{name}.en").read_text().splitlines()]
        pairs = list(open_corpus(str(directory), "en", "de").pairs())
        assert {source for source, _ in pairs} <= set(sources) and len(pairs) > len(sources) / 2
        assert not any(target.startswith(f"{name} ") for _, target in pairs)
    assert load_tokenizers(corpus / "student").source.digest == load_tokenizers(tiny_run).source.digest
    assert config.model.encoder_layers == 1
    code, output, errors = call_program(*command)
    assert (code, output) == (0, f"{corpus / 'student'}\n") and "synthesizing" not in errors


def test_with_references_a_student_learns_from_both(
    tiny_run: Path, corpus: Path, call_program: Callable[..., Any]
) -> None:
    words = [
        *SHAPE,
        f"data.train={corpus}/one.{{en,de}}",
        f"data.valid={corpus}/valid.{{en,de}}",
        "training.max_steps=2",
    ]
    command = ("distill", tiny_run, "--run", corpus / "student", *words, *SEARCH, "--references")
    code, _, errors = call_program(*command)
    assert code == 0, errors
    entries = entries_of(read_run_config(corpus / "student").data.train)
    assert [entry.path for entry in entries] == [f"{corpus}/one.{{en,de}}", f"{corpus}/student.synthetic/corpus-1"]
    targets = {target for entry in entries for _, target in open_corpus(str(entry.path), "en", "de").pairs()}
    assert "one 3 Hund" in targets and len(targets) > 40
    assert call_program(*command)[0] == 0


@pytest.mark.slow
def test_a_killed_command_continues_to_the_same_student(tiny_run: Path, corpus: Path) -> None:
    words = [*SHAPE, f"data.train={corpus}/one.{{en,de}}", f"data.valid={corpus}/valid.{{en,de}}"]

    def start(name: str, folder: str) -> subprocess.Popen[bytes]:
        command = [
            sys.executable, "-m", "translator", "distill", str(tiny_run), "--run", name, *words,
            "training.max_steps=60", *SEARCH,
        ]  # fmt: skip
        (corpus / folder).mkdir(exist_ok=True)
        return subprocess.Popen(
            command, cwd=corpus / folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    assert start("student", "whole").wait(timeout=PATIENCE) == 0
    deaths = 0
    for sign in (
        "student.synthetic/corpus-1/part-00001.tsv.zst", "student/prepared", "student/checkpoints/step-00000010",
    ):  # fmt: skip
        process = start("student", "killed")
        while not (corpus / "killed" / sign).exists() and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        deaths += process.wait() == -signal.SIGKILL
    assert deaths >= 2
    assert start("student", "killed").wait(timeout=PATIENCE) == 0
    whole, killed = (corpus / folder / "student.synthetic" / "corpus-1" for folder in ("whole", "killed"))
    assert {file.name: file.read_bytes() for file in whole.iterdir()} == {
        file.name: file.read_bytes() for file in killed.iterdir()
    }
    one, other = (
        read_checkpoint(RunDirectory(corpus / folder / "student").models / "final").weights
        for folder in ("whole", "killed")
    )
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
