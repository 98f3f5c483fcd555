"""What a training refuses, it refuses before it writes; and its validations decode as validations, whatever is set."""

import json
from collections.abc import Callable
from pathlib import Path

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
