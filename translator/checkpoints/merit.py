"""Which of several validations is the best: the one order behind best checkpoints, early stopping and final weights."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

_LEAST_BLEU, _LEAST_BLEU_OF_CHARACTERS = 1.0, 5.0
"""Below it, BLEU counts chance matches and says nothing about a model. There are more of them among characters:
Japanese sentences against references in another order have 2.6."""
_LEAST_CHRF = 20.0
"""The same of chrF: one sentence for all sources has 21 in German (Multi30k) and 4 in Japanese, and as a model learns
to write anything else, chrF may fall from 8 to 4 while the loss falls from 6.4 to 6.0."""


def best_first(validations: Sequence[Mapping[str, Any]], metric: str) -> list[Mapping[str, Any]]:
    """Sort validations, best first; equals stay in order.

    Each has `loss`, and perhaps `bleu`, `chrf` and `tokenizer` (the tokenizer of BLEU). `metric` is `bleu`, whose ties
    chrF decides and then the loss; `chrf`, whose ties the loss decides; or `loss`. For `bleu`, all BLEU below 1 is a
    tie (below 5 with the tokenizer char), as is all chrF below 20, and BLEU as a whole if it was computed with several
    tokenizers. Whatever one of the validations lacks, which an older version wrote, is not compared.
    """
    names = {"bleu": ("bleu", "chrf", "loss"), "chrf": ("chrf", "loss"), "loss": ("loss",)}[metric]
    shared = [name for name in names if all(name in entry for entry in validations)]
    if "bleu" in shared and len({entry["tokenizer"] for entry in validations if "tokenizer" in entry}) > 1:
        shared.remove("bleu")
    least = {"bleu": _least_bleu(validations), "chrf": _LEAST_CHRF} if metric == "bleu" else {}
    return sorted(validations, key=lambda entry: [-_merit(entry, name, least.get(name, 0.0)) for name in shared])


def says_nothing(validations: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether no BLEU is above what chance matches give."""
    return all(entry.get("bleu", 0.0) < _least_bleu(validations) for entry in validations)


def _least_bleu(validations: Sequence[Mapping[str, Any]]) -> float:
    are_characters = any(entry.get("tokenizer") == "char" for entry in validations)
    return _LEAST_BLEU_OF_CHARACTERS if are_characters else _LEAST_BLEU


def _merit(entry: Mapping[str, Any], name: str, least: float) -> float:
    """Return a figure of which more is better; the worst if it is not finite."""
    value = float(entry[name])
    if not math.isfinite(value):
        return -math.inf
    # Scores as they are printed: no digit that nobody sees decides.
    return -value if name == "loss" else max(round(value, 2), least)
