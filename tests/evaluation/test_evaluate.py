"""Scoring a run from Python."""

from pathlib import Path

import pytest

from translator.errors import EvaluationError
from translator.evaluation import evaluate, score
from translator.translation import Translator

SOURCES = ["A dog runs .", "the man reads in the house .", ""]


def test_scores_are_those_of_the_translations(tiny_run: Path) -> None:
    translator = Translator.load(tiny_run, device="cpu")
    references = ["Ein Hund läuft .", "Der Mann liest im Haus .", ""]
    evaluation = evaluate(translator, SOURCES, references, translator.settings, metrics=("bleu", "chrf"))
    assert evaluation.hypotheses == list(translator.translate(SOURCES))
    assert evaluation.hypotheses[2] == ""
    assert evaluation.scores == score(evaluation.hypotheses, references, ("bleu", "chrf"))
    assert any("the reference looks tokenised" in warning for warning in evaluation.warnings)


def test_impossible_evaluations_are_refused_before_any_work(tiny_run: Path) -> None:
    translator = Translator.load(tiny_run, device="cpu")

    def refuse(count: int) -> None:
        raise AssertionError("translated first")

    for references, tokenize, message in [
        (["one"], "13a", "there are 3 sentences to score but the reference has 1 line;"),
        (SOURCES, "14a", "no BLEU tokenizer '14a'"),
    ]:
        with pytest.raises(EvaluationError, match=message):
            evaluate(translator, SOURCES, references, translator.settings, tokenize=tokenize, on_progress=refuse)
