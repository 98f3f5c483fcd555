"""A run is bound to its vocabulary, its corpora and its base: what differs is refused, and nothing of it is written."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from translator.checkpoints import RunDirectory, read_checkpoint, read_state, run_identity, write_checkpoint
from translator.config import TokenizerSettings
from translator.text import train_tokenizer
from translator.training.trainer import Trainer
from translator.training.update import UpdateSums

Call = Callable[..., tuple[int, str, str]]
Start = Callable[..., list[subprocess.Popen[str]]]


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory, with its bytes."""
    return {str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


def add_lines(settings_file: Path, name: str = "train") -> None:
    """Change a corpus: other words, so that another vocabulary would be trained."""
    for side in ("en", "de"):
        with (settings_file.parent / f"{name}.{side}").open("a") as file:
            file.writelines(f"zyxw {number} vutsr {side} qponm.\n" for number in range(200))


def interrupt(settings_file: Path) -> Path:
    """Make the run of `begun` one that has not ended; return its directory."""
    run = settings_file.parent / "run"
    shutil.rmtree(run / "models" / "final")
    return run


def foreign_tokenizer(size: int = 330) -> bytes:
    """A tokenizer of the same size as those of these tests, trained on other text."""
    lines = [f"{chr(97 + a)}{chr(98 + b)}x {chr(99 + c)}yz" for a in range(10) for b in range(10) for c in range(10)]
    return train_tokenizer(lambda: lines, TokenizerSettings(vocab_size=size)).model


def test_a_finished_run_is_not_touched_when_its_corpus_changes(begun: Path, call_program: Call) -> None:
    run = begun.parent / "run"
    before = contents(run)
    add_lines(begun)
    code, out, errors = call_program("train", begun, "training.max_steps=4")
    assert (code, out.strip()) == (0, str(run))
    assert (
        "has already ended, after step 4" in errors
        and f"{begun.parent}/train.en and train.de changed since then" in errors
    )
    assert contents(run) == before


@pytest.mark.parametrize("words", [["training.log_every=1", "decoding.beam_size=2"], ["training.max_steps=3"]])
def test_a_finished_run_is_not_touched_by_settings_that_do_not_make_it_longer(
    begun: Path, call_program: Call, words: list[str]
) -> None:
    before = contents(begun.parent)
    steps = [] if "max_steps" in words[0] else ["training.max_steps=4"]
    code, _, errors = call_program("train", begun, *steps, *words)
    assert code == 0 and "has already ended, after step 4; raise training.max_steps to continue\n" in errors
    assert contents(begun.parent) == before


def test_an_end_that_came_early_is_an_end(begun: Path, call_program: Call) -> None:
    """Only a limit that rises continues a run, not a setting by which it would not have ended."""
    run = RunDirectory(begun.parent / "run")
    checkpoint = read_checkpoint(run.checkpoint(4))
    history = [{"step": 1, "bleu": 9.0, "loss": 3.0}, {"step": 4, "bleu": 1.0, "loss": 2.0}]
    checkpoint.state["history"] = history
    write_checkpoint(run.checkpoint(4), checkpoint)
    text = run.config.read_text().replace("patience: null", "patience: 1").replace("max_steps: 4\n", "max_steps: 12\n")
    run.config.write_text(text)
    before = contents(run.root)
    code, _, errors = call_program("train", begun, "training.patience=1", "training.best_metric=loss")
    assert code == 0 and "has already ended" in errors
    assert contents(run.root) == before
    code, _, errors = call_program("train", begun, "training.patience=3", "training.max_steps=6")
    assert code == 0 and "finished after 6 steps" in errors


def test_a_run_that_was_interrupted_has_the_checkpoints_and_averages_of_one_that_was_not(
    settings_file: Path, call_program: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    count_step = Trainer._count_step

    def stop_between_validations(trainer: Trainer, sums: UpdateSums) -> None:
        count_step(trainer, sums)
        if trainer.progress.step in (6, 9, 10):
            os.kill(os.getpid(), signal.SIGTERM)

    runs = [RunDirectory(settings_file.parent / name) for name in ("whole", "parts")]
    assert call_program("train", settings_file, f"run={runs[0].root}")[0] == 0
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_count_step", stop_between_validations)
        found = []
        for _ in range(4):
            code, _, errors = call_program("train", settings_file, f"run={runs[1].root}")
            found.append((code, runs[1].steps()))
    # The checkpoint of an interruption is kept until the next validation, beside the two of `keep_last`.
    assert found == [(143, [4, 6]), (143, [4, 8, 9]), (143, [4, 8, 10]), (0, [8, 12])], errors
    averages = [
        [entry["checkpoints"] for line in run.metrics.read_text().splitlines()
         if (entry := json.loads(line))["kind"] == "valid_average"]
        for run in runs
    ]  # fmt: skip
    assert averages[0] == averages[1] == [["step-00000008", "step-00000012"]]
    assert runs[0].steps() == runs[1].steps()
    whole, parts = ((run.models / "final" / "model.safetensors").read_bytes() for run in runs)
    assert whole == parts


def test_a_run_that_ended_for_want_of_patience_names_that(begun: Path, call_program: Call) -> None:
    words = ["training.patience=1", "training.validate_every=1", "training.learning_rate=0.01"]
    assert call_program("train", begun, *words, "training.max_steps=60", "training.best_metric=chrf")[0] == 0
    code, _, errors = call_program("train", begun, *words, "training.max_steps=80", "training.best_metric=chrf")
    assert code == 0
    assert "has already ended" in errors and "raise training.patience to continue" in errors


def test_final_weights_are_chosen_again_if_training_stopped_later(
    begun: Path, call_program: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted at a step after the first end, and then asked for an end at that step."""
    run = RunDirectory(begun.parent / "run")
    count_step = Trainer._count_step

    def stop_after_six(trainer: Trainer, sums: UpdateSums) -> None:
        count_step(trainer, sums)
        if trainer.progress.step == 6:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_count_step", stop_after_six)
        code, _, errors = call_program("train", begun, "training.max_steps=12", "training.validate_every=2")
    assert code == 143 and "stopped by SIGTERM after step 6" in errors
    words = ["training.max_steps=6", "training.validate_every=2", "training.best_metric=loss"]
    assert read_state(run.models / "final")[0]["ended_at"] == 4
    code, _, errors = call_program("train", begun, *words)
    assert code == 0 and "finished after 6 steps" in errors, errors
    state = read_state(run.models / "final")[0]
    assert (state["ended_at"], state["from"]) == (6, ["step-00000006"])
    before = contents(run.root)
    code, _, errors = call_program("train", begun, *words)
    assert code == 0 and "has already ended, after step 6" in errors
    assert contents(run.root) == before


def test_corpora_and_base_may_be_somewhere_else(begun: Path, call_program: Call) -> None:
    folder, run = begun.parent, interrupt(begun)
    tuned = folder / "tuned"
    words = [f"run={tuned}", f"start_from={run}", f"data.alignments={folder}/train.links", "training.max_steps=2"]
    links = "".join("0-0\n" for _ in (folder / "train.en").read_text().splitlines())
    (folder / "train.links").write_text(links)
    assert call_program("train", begun, *words)[0] == 0
    (folder / "moved").mkdir()
    for name in ("train.en", "train.de", "valid.en", "valid.de", "train.links"):
        (folder / name).rename(folder / "moved" / name)
    run.rename(folder / "moved" / "base")
    moved = [f"data.{name}={folder}/moved/{name}.{{en,de}}" for name in ("train", "valid")]
    words = [*moved, f"run={tuned}", f"start_from={folder}/moved/base", f"data.alignments={folder}/moved/train.links"]
    code, _, errors = call_program("train", begun, *words, "training.max_steps=4")
    assert code == 0 and "resuming after step 2" in errors, errors
    # What it is bound to is known by its own settings from now on.
    code, _, errors = call_program("train", tuned / "config.yaml", "training.max_steps=6")
    assert code == 0 and "resuming after step 4" in errors, errors
    add_lines(folder / "moved" / "any")
    code, _, errors = call_program("train", begun, *words, "training.max_steps=8")
    assert code == 1 and f"was begun with other content of {folder}/moved/train.en and train.de" in errors


def test_without_a_record_of_its_content_a_corpus_has_to_be_where_it_was(begun: Path, call_program: Call) -> None:
    folder, run = begun.parent, interrupt(begun)
    path = RunDirectory(run).checkpoint(4)
    checkpoint = read_checkpoint(path)
    for name in ("began_with", "identity"):
        checkpoint.state.pop(name, None)
    write_checkpoint(path, checkpoint)
    shutil.rmtree(run / "prepared")
    for side in ("en", "de"):
        shutil.copy(folder / f"train.{side}", folder / f"other.{side}")
    words = ["training.max_steps=6", f"data.train={folder}/other.{{en,de}}"]
    code, _, errors = call_program("train", begun, *words)
    assert code == 1 and "was begun with other content of data.train" in errors


@pytest.mark.parametrize("name", ["train", "valid"])
@pytest.mark.parametrize("finished", [True, False])
def test_a_run_does_not_continue_on_a_corpus_that_changed(
    begun: Path, call_program: Call, finished: bool, name: str
) -> None:
    run = begun.parent / "run" if finished else interrupt(begun)
    add_lines(begun, name)
    before = contents(begun.parent)
    code, _, errors = call_program("train", begun, "training.max_steps=6")
    assert code == 1, errors
    assert f"{run} was begun with other content of {begun.parent}/{name}.en and {name}.de;" in errors
    assert f"run=DIRECTORY start_from={run}" in errors
    code, _, errors = call_program("data", "prepare", begun)
    assert code == 1 and "was begun with other content" in errors
    assert contents(begun.parent) == before
    # Elsewhere it may be prepared, and other runs trained.
    assert call_program("data", "prepare", begun, f"data.prepared={begun.parent / 'other'}")[0] == 0
    assert contents(run) == {name.removeprefix("run/"): data for name, data in before.items() if name[:4] == "run/"}


@pytest.mark.slow
def test_all_processes_of_a_job_hear_what_one_finds(begun: Path, start_ranks: Start) -> None:
    add_lines(begun)
    before = contents(begun.parent)
    for steps, expected, sentence in ((4, 0, "has already ended"), (6, 1, "was begun with other content")):
        command = ["train", begun, f"training.max_steps={steps}", "threads=1"]
        job = start_ranks(2, "-m", "translator", *command)
        errors = "".join(process.communicate(timeout=PATIENCE)[1] for process in job)
        assert [process.returncode for process in job] == [expected] * 2, errors
        assert errors.count(sentence) == 1
    assert contents(begun.parent) == before


def test_a_test_set_that_takes_training_pairs_away_is_refused(begun: Path, call_program: Call) -> None:
    folder, run = begun.parent, interrupt(begun)
    for side in ("en", "de"):
        (folder / f"new.{side}").write_text(f"none of these {side}\n")
        (folder / f"leak.{side}").write_text("".join((folder / f"train.{side}").read_text().splitlines(True)[:3]))
    before = contents(run)
    code, _, errors = call_program("train", begun, "training.max_steps=6", f"data.test={folder}/leak.{{en,de}}")
    assert code == 1 and f"{run} was begun with other training pairs" in errors
    assert contents(run) == before
    code, _, errors = call_program("train", begun, "training.max_steps=6", f"data.test={folder}/new.{{en,de}}")
    assert code == 0 and "resuming after step 4" in errors, errors


def test_a_foreign_tokenizer_is_refused_by_every_command(begun: Path, call_program: Call, tmp_path: Path) -> None:
    run = begun.parent / "run"
    (run / "tokenizer.model").write_bytes(foreign_tokenizer())
    before = contents(begun.parent)
    text = tmp_path / "valid.en"
    pairs = ["--source", text, "--reference", tmp_path / "valid.de"]
    for arguments in (
        ["translate", run], ["evaluate", run, *pairs], ["score", run, "--source", text, "--target", text],
        ["average", run, "--step", "4"], ["prune", run, "--output", tmp_path / "pruned", "--heads", "cross.1.1"],
        ["train", begun, "training.max_steps=4"], ["train", begun, "training.max_steps=6"],
        ["train", begun, f"run={tmp_path / 'tuned'}", f"start_from={run}"], ["data", "prepare", begun],
        ["data", "prepare", begun, f"run={tmp_path / 'tuned'}", f"start_from={run}"],
    ):  # fmt: skip
        code, out, errors = call_program(*arguments, input=b"a dog\n")
        assert (code, out) == (1, ""), arguments
        assert f"was trained with another vocabulary than {run / 'tokenizer.model'}" in errors, (arguments, errors)
    interrupt(begun)
    code, _, errors = call_program("train", begun, "training.max_steps=6")
    assert code == 1 and "was trained with another vocabulary" in errors
    before = {name: data for name, data in before.items() if "models/final" not in name}
    assert contents(begun.parent) == before


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [("norm: pre", "norm: post", "model.norm"), ("activation: relu", "activation: gelu", "model.activation"),
     ("language_tags: false", "language_tags: true", "data.language_tags"),
     ("attention_dropout: 0.0", "attention_dropout: 0.3", None)],
)  # fmt: skip
def test_settings_that_shape_the_model_belong_to_the_weights(
    begun: Path, call_program: Call, before: str, after: str, name: str | None
) -> None:
    run = begun.parent / "run"
    file = run / "config.yaml"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))
    for arguments in (["translate", run], ["average", run], ["translate", run, "--with", run]):
        code, _, errors = call_program(*arguments, input=b"a dog\n")
        assert code == (1 if name else 0), errors
        assert name is None or f"was trained with other settings than those in {file}: {name} is " in errors


def test_a_tokenizer_file_whose_content_changed_is_refused(settings_file: Path, call_program: Call) -> None:
    folder = settings_file.parent
    file = folder / "vocabulary.model"
    words = [f"tokenizer.model={file}", "training.max_steps=4"]
    code, _, errors = call_program(
        "tokenizer", "train", folder / "train.en", "--output", file, "--set", "vocab_size=330"
    )
    assert code == 0, errors
    assert call_program("train", settings_file, *words)[0] == 0
    run = interrupt(settings_file)
    kept = file.read_bytes()
    file.write_bytes(foreign_tokenizer())
    before = contents(folder)
    code, _, errors = call_program("train", settings_file, *words)
    assert code == 1 and f"tokenizer.model: {file} is not the vocabulary that {run} was begun with" in errors
    assert contents(folder) == before
    file.unlink()
    # The run has its own copy.
    code, _, errors = call_program("train", settings_file, *words)
    assert code == 0, errors
    assert (run / "tokenizer.model").read_bytes() == kept


@pytest.mark.parametrize("other_vocabulary", [False, True])
def test_a_base_that_was_trained_again_is_refused(begun: Path, call_program: Call, other_vocabulary: bool) -> None:
    folder, base, tuned = begun.parent, begun.parent / "run", begun.parent / "tuned"
    words = ["train", begun, f"start_from={base}", f"run={tuned}", "training.max_steps=4"]
    code, _, errors = call_program(*words)
    assert code == 0, errors
    shutil.rmtree(tuned / "models" / "final")
    shutil.rmtree(base)
    add_lines(begun) if other_vocabulary else None
    assert call_program("train", begun, "training.max_steps=3")[0] == 0
    before = contents(folder)
    code, _, errors = call_program(*words)
    what = "has another vocabulary than when" if other_vocabulary else "was trained again since"
    assert code == 1 and f"start_from: {base} {what} {tuned} was begun" in errors
    assert contents(folder) == before


def test_a_finished_run_without_checkpoints_has_ended(begun: Path, call_program: Call) -> None:
    run = begun.parent / "run"
    shutil.rmtree(run / "checkpoints")
    before = contents(begun.parent)
    code, out, errors = call_program("train", begun, "training.max_steps=4")
    assert (code, out.strip()) == (0, str(run)) and "has already ended, after step 4; to continue from it" in errors
    code, _, errors = call_program("train", begun, "training.max_steps=6")
    assert code == 1 and "has no intact checkpoint to continue from" in errors
    assert f"run=DIRECTORY start_from={run}" in errors
    (run / "models" / "final").rename(run / "models" / "average")
    assert call_program("train", begun, "training.max_steps=4")[0] == 1
    (run / "models" / "average").rename(run / "models" / "final")
    assert contents(begun.parent) == before and not (run / "checkpoints").exists()


def test_weights_without_settings_are_not_trained_over(begun: Path, call_program: Call) -> None:
    run = begun.parent / "run"
    (run / "config.yaml").unlink()
    before = contents(run)
    code, _, errors = call_program("train", begun, "training.max_steps=4")
    assert code == 1 and f"{run} has weights but no config.yaml" in errors
    assert contents(run) == before


def test_a_run_of_an_older_version_is_bound_when_it_is_continued(begun: Path, call_program: Call) -> None:
    run = RunDirectory(begun.parent / "run")
    for path in (run.checkpoint(4), run.models / "final"):
        checkpoint = read_checkpoint(path)
        write_checkpoint(path, type(checkpoint)(checkpoint.weights, checkpoint.optimizer, unbound(checkpoint.state)))
    manifest = run.root / "prepared" / "manifest.json"
    manifest.write_text(json.dumps(unbound(json.loads(manifest.read_text()))))
    assert call_program("translate", run.root, input=b"a dog\n")[0] == 0
    kept, corpus = (run.root / "tokenizer.model").read_bytes(), (begun.parent / "train.en").read_bytes()
    add_lines(begun)
    assert call_program("train", begun, "training.max_steps=6")[0] == 1
    for side in ("en", "de"):
        lines = (begun.parent / f"train.{side}").read_text().splitlines(True)[:-200]
        (begun.parent / f"train.{side}").write_text("".join(lines))
    assert (begun.parent / "train.en").read_bytes() == corpus
    (run.root / "tokenizer.model").write_bytes(foreign_tokenizer())
    code, _, errors = call_program("train", begun, "training.max_steps=6")
    assert code == 1 and f"the vocabulary of {run.root} is not the one" in errors
    (run.root / "tokenizer.model").write_bytes(kept)
    code, _, errors = call_program("train", begun, "training.max_steps=6")
    assert code == 0 and "was begun by an older version" in errors, errors
    identity = run_identity(run.root).as_state()
    for path in (run.checkpoint(6), run.models / "final"):
        assert read_checkpoint(path).state.items() >= identity.items()
    assert read_checkpoint(run.checkpoint(6)).state["began_with"]["corpora"].keys() == {"train", "valid"}


def unbound(state: dict[str, object]) -> dict[str, object]:
    """What an older version wrote."""
    return {name: value for name, value in state.items() if name not in ("identity", "began_with", "train_pairs")}


def test_a_run_continues_elsewhere_and_without_its_prepared_data(begun: Path, call_program: Call) -> None:
    run, moved = begun.parent / "run", begun.parent / "moved"
    kept = (run / "tokenizer.model").read_bytes()
    run.rename(moved)
    shutil.rmtree(moved / "prepared")
    code, _, errors = call_program("train", moved / "config.yaml", "training.max_steps=6")
    assert code == 0 and "resuming after step 4" in errors, errors
    # The vocabulary is not trained a second time.
    assert "training the tokenizer" not in errors
    assert (moved / "tokenizer.model").read_bytes() == (moved / "prepared" / "tokenizer.model").read_bytes() == kept
    assert not run.exists()


def test_a_pruned_run_of_a_fine_tuned_one_keeps_its_vocabulary(begun: Path, call_program: Call) -> None:
    folder = begun.parent
    tuned, pruned = folder / "tuned", folder / "pruned"
    add_lines(begun)
    code, _, errors = call_program(
        "train", begun, f"start_from={folder / 'run'}", f"run={tuned}", "training.max_steps=4"
    )
    assert code == 0, errors
    code, _, errors = call_program("prune", tuned, "--output", pruned, "--heads", "cross.1.2")
    assert code == 0, errors
    began = [read_checkpoint(RunDirectory(run).checkpoint(4)).state["began_with"] for run in (tuned, pruned)]
    assert began[0]["start_from"] is not None and began[1] == {**began[0], "start_from": None}
    shutil.rmtree(folder / "run")
    kept = contents(tuned)
    code, _, errors = call_program("train", pruned / "config.yaml", "training.max_steps=6")
    assert code == 0 and "resuming after step 4" in errors, errors
    assert contents(tuned) == kept
    assert (pruned / "tokenizer.model").read_bytes() == (tuned / "tokenizer.model").read_bytes()


def test_a_tokenizer_of_another_kind_does_not_stay_behind(settings_file: Path, call_program: Call) -> None:
    """A start that was killed before its first checkpoint left a joint vocabulary; then each side gets its own."""
    run = settings_file.parent / "run"
    run.mkdir()
    (run / "tokenizer.model").write_bytes(foreign_tokenizer())
    words = ["training.max_steps=2", "tokenizer.joint=false", "model.tie_embeddings=decoder"]
    code, _, errors = call_program("train", settings_file, *words)
    assert code == 0, errors
    assert sorted(file.name for file in run.glob("tokenizer*")) == ["tokenizer.source.model", "tokenizer.target.model"]
    assert call_program("translate", run, input=b"the dog sleeps.\n")[0] == 0


def test_an_output_is_not_continued_with_other_weights(begun: Path, call_program: Call) -> None:
    """The name, the step and the settings are the same, and the weights are not."""
    run, output = RunDirectory(begun.parent / "run"), begun.parent / "out.txt"
    broken = (begun.parent / "valid.en").read_bytes() * 60 + b"\xff\n"
    notes = []
    for factor in (1.0, 1.5):
        checkpoint = read_checkpoint(run.models / "final")
        for weight in checkpoint.weights.values():
            weight.mul_(factor)
        write_checkpoint(run.models / "final", checkpoint)
        words = ["translate", run.root, "--set", "invalid_utf8=refuse", "--output", output]
        code, _, errors = call_program(*words, input=broken)
        notes.append((code, errors))
    assert notes[0][0] == 1 and "lines of" in notes[0][1]
    assert notes[1][0] == 1 and "weights_and_vocabulary" in notes[1][1], notes
    assert "repeat that command to resume it, or remove the file to start again" in notes[1][1]
