"""A validation in words, for a person, and in plain values, for the metrics."""

from typing import Any

from translator.runtime.console import say
from translator.training.validation import Validation


def describe(result: Validation) -> dict[str, Any]:
    """A validation as values for JSON, every score with its signature."""
    return {
        "loss": result.loss,
        "nll": result.nll,
        "scores": [{"name": s.name, "value": s.value, "signature": s.signature} for s in result.scores],
        "samples": [dict(zip(("source", "reference", "translation"), s, strict=True)) for s in result.samples],
    }


def report_validation(title: str, result: Validation) -> None:
    """Print a validation for a person."""
    scores = ", ".join(f"{s.name} {s.value:.2f}" for s in result.scores)
    say(f"{title}: validation loss {result.loss:.3f}, {scores}  ({result.scores[0].signature})")
    for source, reference, translation in result.samples:
        say(f"    source       {source}\n    reference    {reference}\n    translation  {translation}")
