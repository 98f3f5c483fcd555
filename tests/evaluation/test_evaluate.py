"""Scoring a run from Python."""

from pathlib import Path

import pytest

from translator.checkpoints import load_bundle
from translator.decoding import translate_lines
from translator.errors import EvaluationError
from translator.evaluation import evaluate, score

SOURCES = ["A dog runs .", "the man reads in the house .", ""]


def test_scores_are_those_of_the_translations(tiny_run: Path) -> None:
    bundle = load_bundle(tiny_run, device="cpu")
    references = ["Ein Hund läuft .", "Der Mann liest im Haus .", ""]
    decoding = bundle.config.decoding
    evaluation = evaluate(bundle, SOURCES, references, decoding, metrics=("bleu", "chrf"))
    assert evaluation.hypotheses == list(translate_lines(bundle, SOURCES, decoding))
    assert evaluation.hypotheses[2] == ""
    assert evaluation.scores == score(evaluation.hypotheses, references, ("bleu", "chrf"))
    assert any("the reference looks tokenised" in warning for warning in evaluation.warnings)


def test_impossible_evaluations_are_refused_before_any_work(tiny_run: Path) -> None:
    bundle = load_bundle(tiny_run, device="cpu")

    def refuse(count: int) -> None:
        raise AssertionError("translated first")

    for references, tokenize, message in [
        (["one"], "13a", "there are 3 sentences to score but the reference has 1 lines"),
        (SOURCES, "14a", "no BLEU tokenizer '14a'"),
    ]:
        with pytest.raises(EvaluationError, match=message):
            evaluate(bundle, SOURCES, references, bundle.config.decoding, tokenize=tokenize, on_progress=refuse)
