"""Evaluation: translate a test set with a run and score it, with signatures. Open `evaluate.py` first."""

from translator.evaluation.appearance import faults, mismatches
from translator.evaluation.bleu_tokenizer import AUTO, TOKENIZERS, choose_tokenizer, default_tokenizer
from translator.evaluation.breakdown import by_frequency, by_length, sentence_chrf
from translator.evaluation.compare import Comparison, System, compare
from translator.evaluation.evaluate import (
    Evaluation,
    NotKeptError,
    evaluate,
    evaluate_hypotheses,
    read_scores,
    record_evaluation,
)
from translator.evaluation.metrics import METRICS, Score, score
from translator.evaluation.sets import TestSet, Translations, named_test_set, open_test_set, open_translations
from translator.evaluation.table import comparison_table, comparison_values, score_table

__all__ = [
    "AUTO",
    "METRICS",
    "TOKENIZERS",
    "Comparison",
    "Evaluation",
    "NotKeptError",
    "Score",
    "System",
    "TestSet",
    "Translations",
    "by_frequency",
    "by_length",
    "choose_tokenizer",
    "compare",
    "comparison_table",
    "comparison_values",
    "default_tokenizer",
    "evaluate",
    "evaluate_hypotheses",
    "faults",
    "mismatches",
    "named_test_set",
    "open_test_set",
    "open_translations",
    "read_scores",
    "record_evaluation",
    "score",
    "score_table",
    "sentence_chrf",
]
