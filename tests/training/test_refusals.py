"""What a training refuses, it refuses before it writes; and its validations decode as validations, whatever is set."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from translator.config import Config, load_config
from translator.data import prepare
from translator.errors import ConfigError
from translator.runtime.files import locked

Call = Callable[..., tuple[int, str, str]]


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory, with its bytes."""
    return {str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


def validations(run: Path) -> list[dict[str, object]]:
    """What the validations of a run found, without their times."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{**line, "time": None} for line in lines if line["kind"] == "valid"]


def test_settings_of_decoding_do_not_reach_validations(settings_file: Path, call_program: Call) -> None:
    assert call_program("train", settings_file)[0] == 0
    plain = validations(settings_file.parent / "run")
    for index, words in enumerate(
        (
            ["decoding.search=sampling", "decoding.temperature=3", "decoding.n_best=7"],
            ["decoding.search=mbr", "decoding.prefix=zzz"],
            ["decoding.banned=[e, d, m]", "decoding.required=[zzz]", "decoding.repetition_penalty=9"],
            ["decoding.block_ngrams=1", "decoding.min_length_extra=9", "decoding.diverse_groups=5"],
        )
    ):
        run = settings_file.parent / f"other-{index}"
        assert call_program("train", settings_file, f"run={run}", *words)[0] == 0
        assert validations(run) == plain


def test_a_beam_of_validation_that_groups_do_not_divide_is_refused_before_any_work(
    settings_file: Path, call_program: Call
) -> None:
    code, _, errors = call_program(
        "train", settings_file, "training.validation_beam_size=4", "decoding.diverse_groups=5", "decoding.n_best=10"
    )
    assert code == 1
    assert "training.validation_beam_size: decoding.diverse_groups = 5 does not divide a beam of 4" in errors
    assert "decoding.n_best: 10 translations cannot come from decoding.beam_size = 5" in errors
    assert not (settings_file.parent / "run").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["tokenizer.vocab_size=340"],
        ["data.max_length=50", "tokenizer.type=unigram"],
        ["data.max_length_ratio=2", "training.subword_sampling=0.1", "training.max_steps=20"],
        ["data.train={corpus}/valid.{{en,de}}", "seed=2", "training.max_steps=20"],
        ["preset=auto", "model.d_ff=64"],
    ],
)
def test_a_changed_setting_of_a_begun_run_is_refused_before_anything_is_written(
    words: list[str], settings_file: Path, call_program: Call
) -> None:
    assert call_program("train", settings_file, "training.max_steps=4")[0] == 0
    run = settings_file.parent / "run"
    before = contents(run)
    words = [word.format(corpus=settings_file.parent) for word in words]
    code, _, errors = call_program("train", settings_file, *words)
    assert code == 1 and "began with" in errors and "keep it or choose another run directory" in errors
    assert contents(run) == before
    # No work was done either.
    assert "training the tokenizer" not in errors and "checking train" not in errors


def test_what_only_the_corpora_tell_is_checked_before_data_are_replaced(settings_file: Path) -> None:
    directory = settings_file.parent / "prepared"
    config = load_config(settings_file, ["preset=auto"])
    prepare(config, directory)
    before = contents(directory)
    for side, text in {"en": "a dog", "de": "ein Hund"}.items():
        with (settings_file.parent / f"train.{side}").open("a") as file:
            file.write(f"{text}\n")
    seen = []

    def refuse(completed: Config) -> None:
        seen.append((completed.preset, completed.data.source_language))
        raise ConfigError(["no"])

    with pytest.raises(ConfigError, match="no"):
        prepare(config, directory, refuse)
    assert contents(directory) == before and seen == [("tiny", "en")]


def test_data_are_not_replaced_while_another_process_trains_on_them(settings_file: Path, call_program: Call) -> None:
    run = settings_file.parent / "run"
    assert call_program("data", "prepare", settings_file)[0] == 0
    (run / "checkpoints").mkdir()
    before = contents(run)
    with locked(run / "checkpoints"):
        code, _, errors = call_program("train", settings_file, "tokenizer.vocab_size=340")
    assert code == 1 and f"process {os.getpid()} (" in errors and f") is training in {run}" in errors
    assert contents(run) == before


def test_validation_pairs_that_do_not_fit_into_the_model_are_counted_and_one_has_to(
    settings_file: Path, call_program: Call
) -> None:
    words = ["data.max_length=25", "model.max_positions=27", "training.max_steps=1"]
    code, _, errors = call_program("train", settings_file, *words)
    assert code == 0 and "validation:" not in errors
    valid = [settings_file.parent / f"valid.{language}" for language in ("en", "de")]
    long = 3 * "the old man in the garden reads today at home. " + "\n"
    for file in valid:
        file.write_text(file.read_text() + 4 * long)
    code, _, errors = call_program("train", settings_file, *words, f"run={settings_file.parent / 'some'}")
    assert code == 0
    assert "validation: 10 of 14 validation pairs fit into model.max_positions=27; the others are left out" in errors
    for file in valid:
        file.write_text(4 * long)
    run = settings_file.parent / "none"
    code, _, errors = call_program("train", settings_file, *words, f"run={run}")
    assert code == 1 and "0 of 4 validation pairs fit into model.max_positions=27; raise it" in " ".join(errors.split())
    assert not (run / "metrics.jsonl").exists()
