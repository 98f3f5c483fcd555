"""A report on all heads of a run: what each looks at, how important it is, and which role its figures suggest."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from translator.checkpoints import Bundle
from translator.config import DecodingSettings, Head
from translator.evaluation import evaluate
from translator.inspection.gold import GoldCounter
from translator.inspection.importance import Importance, batch_count, measure_importance, model_heads, without_heads
from translator.inspection.pairs import Pairs
from translator.inspection.statistics import FIGURES, KindStatistics, head_statistics
from translator.runtime.console import progress
from translator.runtime.outputs import write_output
from translator.text import WordLinks
from translator.translation import Translator
from translator.translation.alignment_head import alignment_scores
from translator.translation.result import rounded

MAJORITY = 0.5
"""Least share (of the weight, or of the words of a gold alignment) for a role."""
INFORMATIVE = 0.1
"""Least share of the target's information in a head's links for the role of alignment, without a gold alignment."""

_POSITIONS = {"previous": "previous position", "same": "same position", "next": "next position"}


@dataclass(frozen=True)
class HeadReport:
    """One head; figures that do not apply to its kind are NaN, and figures that were not asked for are None."""

    head: Head
    figures: dict[str, float]
    """Figures by name; see `statistics.FIGURES`."""
    nearest: Head | None
    """The head of the same kind with the most similar weights; None if there is no other."""
    distance: float
    """Jensen-Shannon divergence from `nearest`, in bits."""
    importance: float
    """Rise of the loss when this head is masked, in nats per target token."""
    bleu: float | None = None
    """Change of BLEU when this head is masked."""
    information: float | None = None
    """Cross-attention: share of the target's information that its links carry, as in `learn_alignment_head`."""
    aligned: float | None = None
    """Cross-attention: share of the words of a gold alignment for which it looks most at an aligned word."""

    def roles(self) -> list[tuple[str, float]]:
        """Return the roles of the head, each with the figure that suggests it; empty if no role dominates."""
        found = [(role, self.figures[name]) for name, role in _POSITIONS.items() if self.figures[name] >= MAJORITY]
        end = "sentence start" if self.head.kind == "decoder" else "sentence end"
        found += [(end, self.figures["mark"])] if self.figures["mark"] >= MAJORITY else []
        found += [("punctuation", self.figures["punctuation"])] if self.figures["punctuation"] >= MAJORITY else []
        if self.aligned is not None:
            found += [("alignment", self.aligned)] if self.aligned >= MAJORITY else []
        elif (self.information or 0.0) >= INFORMATIVE:
            found.append(("alignment", self.information or 0.0))
        return sorted(found, key=lambda role: -role[1])


@dataclass(frozen=True)
class ModelReport:
    """All heads of a run, measured on one test set."""

    run: str
    weights: str
    step: int
    test_set: str
    sentences: int
    loss: float
    """In nats per target token, end tokens included, without label smoothing."""
    heads: list[HeadReport]
    distances: dict[str, NDArray[np.float64]]
    """By kind, [K, K] in bits; the K heads are ordered by layer and index."""
    bleu: float | None = None
    signature: str | None = None
    gold_words: int | None = None
    """Target words that have a link in the gold alignment."""

    def of_kind(self, kind: str) -> list[HeadReport]:
        """Return the heads of a kind, by layer and index."""
        return [each for each in self.heads if each.head.kind == kind]

    def write_json(self, path: Path) -> Path:
        """Write everything as JSON and return the file; a figure that does not apply to a head is null."""
        heads = []
        for each in self.heads:
            entry: dict[str, Any] = {"head": str(each.head), "kind": each.head.kind}
            entry |= {"layer": each.head.layer, "number": each.head.head}
            entry |= {name: _number(value) for name, value in each.figures.items()}
            entry |= {"importance": _number(each.importance), "bleu_change": _number(each.bleu)}
            entry |= {"information": _number(each.information), "aligned": _number(each.aligned)}
            entry |= {"nearest": str(each.nearest) if each.nearest else None, "distance": _number(each.distance)}
            heads.append(entry | {"roles": {role: _number(figure) for role, figure in each.roles()}})
        content = {
            "run": self.run, "weights": self.weights, "step": self.step,
            "test_set": self.test_set, "sentences": self.sentences, "loss": _number(self.loss),
            "bleu": _number(self.bleu), "signature": self.signature, "gold_words": self.gold_words,
            "heads": heads,
            "distances": {
                kind: {
                    "heads": [str(each.head) for each in self.of_kind(kind)],
                    "bits": [[_number(value) for value in row] for row in matrix.tolist()],
                }
                for kind, matrix in self.distances.items()
            },
        }  # fmt: skip
        return write_output(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def inspect_heads(
    translator: Translator, pairs: Pairs, *, gold: Sequence[WordLinks] | None = None,
    bleu: DecodingSettings | None = None, to: str | None = None,
) -> ModelReport:  # fmt: skip
    """Measure all heads of a run on sentence pairs, with progress on stderr.

    `gold` is the result of `read_links`. With `bleu`, the test set is translated with these settings, once with the
    whole model and once with each head masked.
    """
    bundle = translator.bundle
    counter = GoldCounter(bundle, pairs, gold) if gold is not None else None
    with progress(description="looking", unit="pairs", total=len(pairs.ids)) as bar:
        statistics = head_statistics(bundle, pairs.ids, counter, bar.update)
    importance = measure_with_progress(bundle, pairs)
    information, _ = alignment_scores(bundle, *zip(*pairs.ids, strict=True))
    aligned = counter.shares() if counter is not None else {}
    whole, signature, changes = None, None, dict[Head, float]()
    if bleu is not None:
        whole, signature, changes = _bleu_without_heads(translator, pairs, list(importance.increase), bleu, to)
    heads = []
    for kind in statistics:
        own = [head for head in importance.increase if head.kind == kind]
        for index, head in enumerate(own):
            nearest, distance = _nearest(index, statistics[kind])
            heads.append(
                HeadReport(
                    head,
                    {name: float(statistics[kind].figures[name][index]) for name in FIGURES},
                    own[nearest] if nearest is not None else None,
                    distance,
                    importance=importance.increase[head],
                    bleu=changes.get(head),
                    information=information.get(head),
                    aligned=aligned.get(head),
                )
            )
    distances = {kind: figures.distances for kind, figures in statistics.items()}
    run, words = bundle.directory.resolve().name, counter.words if counter is not None else None
    return ModelReport(
        run, bundle.weights, bundle.step, pairs.test_set.name, len(pairs.ids), importance.loss, heads, distances,
        whole, signature, words,
    )  # fmt: skip


def measure_with_progress(bundle: Bundle, pairs: Pairs) -> Importance:
    """Mask every head once, with progress on stderr; see `measure_importance`."""
    total = (1 + len(model_heads(bundle.model))) * batch_count(bundle, pairs.ids)
    with progress(description="masking", unit="passes", total=total) as bar:
        return measure_importance(bundle, pairs.ids, on_progress=bar.update)


def _bleu_without_heads(
    translator: Translator, pairs: Pairs, heads: Sequence[Head], settings: DecodingSettings, to: str | None
) -> tuple[float, str, dict[Head, float]]:
    """Return the BLEU of the whole model, its signature, and the change when each head is masked."""
    sources, references = zip(*pairs.texts(), strict=True)

    def score(masked: list[Head]) -> tuple[float, str]:
        # A translator prepares its own copy of the weights, so each masking needs a new one.
        with without_heads(translator.bundle.model, masked):
            result = evaluate(
                Translator(translator.bundle, "native"),
                list(sources),
                list(references),
                settings,
                metrics=("bleu",),
                to=to,
            )
        return result.scores[0].value, result.scores[0].signature

    with progress(description="translating without a head", unit="heads", total=len(heads) + 1) as bar:
        whole, signature = score([])
        bar.update()
        changes = {}
        for head in heads:
            changes[head] = score([head])[0] - whole
            bar.update()
    return whole, signature, changes


def _nearest(index: int, statistics: KindStatistics) -> tuple[int | None, float]:
    """Return the index of the most similar head of the same kind, and its distance."""
    distances = np.delete(statistics.distances[index], index)
    if not np.isfinite(distances).any():
        return None, math.nan
    nearest = int(np.nanargmin(distances))
    return nearest + (nearest >= index), float(distances[nearest])


def _number(value: float | None) -> float | None:
    return None if value is None else rounded(value)
