"""The report on a run's heads as a table of text."""

import math
from collections.abc import Sequence

from translator.config import KINDS, ModelSettings
from translator.inspection.report import HeadReport, ModelReport
from translator.inspection.statistics import FIGURES
from translator.runtime.columns import align
from translator.runtime.counted import counted

_TITLES = {"maximum": "max", "punctuation": "punct"}


def head_table(report: ModelReport) -> str:
    """Return a line for each head in aligned columns, below a legend and the figures of the whole model."""
    titles, rows = _columns(report)
    # Names and roles are aligned to the left, numbers to the right.
    return "\n".join([*_heading(report), "", *align([titles, *rows], left=(0, len(titles) - 1))])


def _heading(report: ModelReport) -> list[str]:
    masked = "loss and BLEU" if report.bleu is not None else "loss"
    lines = [
        f"{report.run} ({report.weights}, step {report.step:,}) on {counted(report.sentences, 'pair')} of "
        f"{report.test_set}: loss {report.loss:.4f} nats per token"
        + (f", BLEU {report.bleu:.2f} ({report.signature})" if report.bleu is not None else ""),
        "entropy: nats; max: the largest weight; previous, same, next, mark, punct: the weight on that position,",
        "on the end token (decoder: begin token), on punctuation; alike: the most similar head; distance from it, 0-1;",
        f"info: share of the target's information that links carry; {masked}: change when the head is masked",
    ]
    if report.gold_words is not None:
        lines.append(
            f"aligned: share of {counted(report.gold_words, 'aligned word')} for which the head looks most at an "
            "aligned word"
        )
    return lines


def _columns(report: ModelReport) -> tuple[list[str], list[list[str]]]:
    titles = ["head", *(_TITLES.get(name, name) for name in FIGURES), "alike", "distance", "info"]
    titles += ["aligned"] if report.gold_words is not None else []
    titles += ["loss"] + (["BLEU"] if report.bleu is not None else []) + ["role"]
    return titles, [_row(each, report) for each in report.heads]


def _row(each: HeadReport, report: ModelReport) -> list[str]:
    row = [str(each.head), *(_share(each.figures[name]) for name in FIGURES)]
    row += [str(each.nearest) if each.nearest else "-", _share(each.distance), _share(each.information)]
    row += [_share(each.aligned)] if report.gold_words is not None else []
    row.append(f"{each.importance:+.4f}")
    row += [f"{each.bleu:+.2f}" if each.bleu is not None else "-"] if report.bleu is not None else []
    return [*row, describe_roles(each.roles())]


def describe_counts(settings: ModelSettings) -> str:
    """Return how many heads the layers of each kind have, as text."""
    return "; ".join(f"{kind} {', '.join(map(str, heads))}" for kind in KINDS if (heads := settings.heads(kind)))


def describe_roles(roles: Sequence[tuple[str, float]]) -> str:
    """Return roles with their figures, such as `alignment (0.91)`."""
    return ", ".join(f"{role} ({figure:.2f})" for role, figure in roles)


def _share(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"
