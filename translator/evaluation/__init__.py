"""Evaluation: translate a test set with a run and score it, with signatures. Open `evaluate.py` first."""

from translator.evaluation.appearance import faults, mismatches
from translator.evaluation.evaluate import Evaluation, NotKeptError, evaluate, read_scores, record_evaluation
from translator.evaluation.metrics import METRICS, TOKENIZERS, Score, default_tokenizer, score
from translator.evaluation.sets import TestSet, named_test_set, open_test_set

__all__ = [
    "METRICS",
    "TOKENIZERS",
    "Evaluation",
    "NotKeptError",
    "Score",
    "TestSet",
    "default_tokenizer",
    "evaluate",
    "faults",
    "mismatches",
    "named_test_set",
    "open_test_set",
    "read_scores",
    "record_evaluation",
    "score",
]
