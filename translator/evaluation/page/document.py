"""The data of the page: scores, sentences with their chrF, and figures by length and by how rare words are."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from translator.evaluation.breakdown import LengthGroup, WordGroup
from translator.evaluation.compare import Comparison
from translator.runtime.page import offline_page

MOST_SENTENCES = 2000
"""The most that a page holds, so that a browser opens it at once."""

_SCRIPTS = ("data.js", "words.js", "scores.js", "groups.js", "sentences.js", "start.js")
_STYLES = ("page.css", "sentences.css")


def comparison_page(
    comparison: Comparison,
    chrf: Sequence[Sequence[float]],
    lengths: Sequence[LengthGroup],
    words: Sequence[WordGroup],
    counted_in: str = "the references",
) -> str:
    """Return an HTML document that shows a comparison; write it as UTF-8.

    `chrf`, `lengths` and `words` are those of `sentence_chrf`, `by_length` and `by_frequency`, and `counted_in` names
    the text that words were counted in. Of more than 2,000 sentences the page holds those that differ most.
    """
    spread = [max(scores) - min(scores) for scores in zip(*chrf, strict=True)]
    shown = sorted(range(len(spread)), key=lambda index: -spread[index])[:MOST_SENTENCES]
    data = {
        "systems": [system.name for system in comparison.systems],
        "figures": [[asdict(figure) for figure in figures] for figures in comparison.figures],
        "signatures": [
            [name, comparison.signatures[name], comparison.randomisation_signatures[name]]
            for name in comparison.signatures
        ],
        "warnings": comparison.warnings,
        "total": len(spread),
        "sentences": [_sentence(comparison, chrf, index) for index in sorted(shown)],
        "lengths": [asdict(group) for group in lengths],
        "words": [asdict(group) for group in words],
        "countedIn": counted_in,
    }
    return offline_page(__package__, "page.html", _STYLES, _SCRIPTS, data)


def _sentence(comparison: Comparison, chrf: Sequence[Sequence[float]], index: int) -> dict[str, Any]:
    references = [stream[index] for stream in comparison.references]
    return {
        "line": index + 1,
        "source": comparison.sources[index] if comparison.sources is not None else None,
        "references": [line for line in references if line.strip()] or references[:1],
        "hypotheses": [system.hypotheses[index] for system in comparison.systems],
        "chrf": [round(scores[index], 2) for scores in chrf],
    }
