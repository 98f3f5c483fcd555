"""Scores of several texts and comparisons as tables for people, and comparisons as values for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from translator.evaluation.breakdown import LengthGroup, WordGroup
from translator.evaluation.compare import Comparison
from translator.evaluation.metrics import Score
from translator.runtime.columns import align

LEVEL = 0.05
"""p-values below it are marked."""


def score_table(title: str, names: Sequence[str], sentences: Sequence[int], scores: Sequence[Sequence[Score]]) -> str:
    """Return a line for each text, with the scores that all have in common, and a line for each signature.

    `title` is what the texts are. A metric whose signature differs between texts has a line for each.
    """
    metrics = [item.name for item in scores[0]]
    rows = [[title, "sentences", *metrics]]
    for name, count, own in zip(names, sentences, scores, strict=True):
        rows.append([name, f"{count:,}", *(f"{item.value:.2f}" for item in own)])
    lines = align(rows) + [""]
    for column, metric in enumerate(metrics):
        signatures = dict.fromkeys(own[column].signature for own in scores)
        for signature in signatures:
            those = [name for name, own in zip(names, scores, strict=True) if own[column].signature == signature]
            note = f"  ({', '.join(those)})" if len(signatures) > 1 else ""
            lines.append(f"{metric:<8} {signature}{note}")
    return "\n".join(lines)


def comparison_table(comparison: Comparison, lengths: Sequence[LengthGroup], words: Sequence[WordGroup]) -> str:
    """Return the scores of a comparison with their tests, and what `by_length` and `by_frequency` found."""
    names = [system.name for system in comparison.systems]
    lines = []
    for column, (metric, signature) in enumerate(comparison.signatures.items()):
        rows = [[metric, "score", "mean ± 95 %", "p (bootstrap)", "p (randomisation)"]]
        for name, figures in zip(names, comparison.figures, strict=True):
            figure = figures[column]
            tests = [_p_value(figure.bootstrap), _p_value(figure.randomisation)]
            rows.append([name, f"{figure.value:.2f}", f"{figure.mean:.2f} ± {figure.interval:.2f}", *tests])
        lines += [*align(rows), f"{signature}", ""]
    lines.append(f"* below {LEVEL}: the difference from {names[0]} is unlikely to be chance. TER is better if lower.")
    metric = list(lengths[0].scores[0])[-1]
    rows = [["words in the reference", "sentences", *(f"{metric} {name}" for name in names)]]
    rows += [
        [group.label, f"{group.sentences:,}", *(f"{scores[metric]:.1f}" for scores in group.scores)]
        for group in lengths
    ]
    lines += ["", *align(rows)]
    rows = [["occurrences of words", "words", *(f"F1 {name}" for name in names)]]
    rows += [[group.label, f"{group.words:,}", *(f"{value:.1f}" for value in group.f1)] for group in words]
    return "\n".join([*lines, "", *align(rows)])


def comparison_values(
    comparison: Comparison, lengths: Sequence[LengthGroup], words: Sequence[WordGroup]
) -> dict[str, Any]:
    """Return a comparison as values for JSON: scores of each system, signatures, and the figures of the groups."""
    return {
        "sentences": len(comparison.references[0]),
        "systems": [
            {"name": system.name, "scores": [asdict(figure) for figure in figures]}
            for system, figures in zip(comparison.systems, comparison.figures, strict=True)
        ],
        "signatures": {
            "bootstrap": comparison.signatures,
            "randomisation": comparison.randomisation_signatures,
        },
        "by_length": [asdict(group) for group in lengths],
        "by_frequency": [asdict(group) for group in words],
        "notes": comparison.notes,
        "warnings": comparison.warnings,
    }


def _p_value(value: float | None) -> str:
    return "" if value is None else f"{value:.4f} {'*' if value < LEVEL else ' '}"
