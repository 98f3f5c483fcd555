"""What a training does with its scores: the tokenizer of BLEU, the spacing of validations, and what is kept."""

import json
from collections.abc import Callable
from pathlib import Path

from translator.checkpoints import RunDirectory, read_checkpoint

Call = Callable[..., tuple[int, str, str]]


def test_validations_of_japanese_on_few_pairs(settings_file: Path, call_program: Call) -> None:
    """BLEU can move, an epoch of one step is no validation, and nothing is stopped or kept by a BLEU of 0."""
    folder = settings_file.parent
    nouns, verbs = ("犬", "猫", "友達", "男", "子供"), ("が寝る。", "が読む。", "が走る。", "が歌う。")
    lines = [f"{noun}{verb}" for noun in nouns for verb in verbs for _ in range(4)]
    for name, chosen in {"train": lines[:70], "valid": lines[70:]}.items():
        (folder / f"{name}.ja").write_text("".join(f"{line}\n" for line in chosen), encoding="utf-8")
    corpora = [f"data.{name}={folder}/{name}.{{en,ja}}" for name in ("train", "valid")]
    settings = ["training.validate_every=auto", "training.batch_tokens=10k", "training.max_steps=110"]
    code, _, errors = call_program("train", settings_file, *corpora, *settings, "training.patience=1")
    assert code == 0, errors
    state = read_checkpoint(RunDirectory(folder / "run").checkpoint(110)).state
    assert [entry["step"] for entry in state["history"]] == [50, 100, 110]
    assert errors.count("an epoch has 1 step: validating at the first end of an epoch") == 1
    assert {entry["tokenizer"] for entry in state["history"]} <= {"char", "ja-mecab"}
    assert errors.count("validation: BLEU ") == 1
    validations = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    signatures = [entry["scores"][0]["signature"] for entry in validations if entry["kind"] == "valid"]
    assert len(signatures) == 3 and all("tok:13a" not in signature for signature in signatures)
