"""Which of several validations is the best: the one order behind best checkpoints, early stopping and final weights."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

LEAST_BLEU = 1.0
"""Below it, BLEU counts a handful of chance matches and says nothing about a model."""


def best_first(validations: Sequence[Mapping[str, Any]], metric: str) -> list[Mapping[str, Any]]:
    """Sort validations, best first; equals stay in order.

    Each has `loss`, and perhaps `bleu`, `chrf` and `tokenizer` (the tokenizer of BLEU). `metric` is `bleu`, whose ties
    chrF decides and then the loss; `chrf`, whose ties the loss decides; or `loss`. BLEU below 1 is a tie, and so is
    BLEU as a whole if it was computed with several tokenizers. Whatever one of the validations lacks, which an older
    version wrote, is not compared.
    """
    names = {"bleu": ("bleu", "chrf", "loss"), "chrf": ("chrf", "loss"), "loss": ("loss",)}[metric]
    shared = [name for name in names if all(name in entry for entry in validations)]
    if "bleu" in shared and len({entry["tokenizer"] for entry in validations if "tokenizer" in entry}) > 1:
        shared.remove("bleu")
    return sorted(validations, key=lambda entry: [-_merit(entry, name) for name in shared])


def _merit(entry: Mapping[str, Any], name: str) -> float:
    """Return a figure of which more is better; the worst if it is not finite."""
    value = float(entry[name])
    if not math.isfinite(value):
        return -math.inf
    if name == "loss":
        return -value
    # As it is printed: no digit that nobody sees decides.
    return 0.0 if name == "bleu" and value < LEAST_BLEU else round(value, 2)
