"""Scores of several texts as a table for people, and the signatures under it."""

from collections.abc import Sequence

from translator.evaluation.metrics import Score


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


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines in columns; the first column is aligned to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
