"""Figures of heads equal those of plain loops over the maps of single sentences."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from translator.checkpoints import Bundle, load_bundle
from translator.config import KINDS
from translator.inspection.pairs import encode_pairs
from translator.inspection.statistics import FIGURES, head_statistics, is_punctuation, looks

SOURCES = ["a dog sleeps.", "the red house", "a cat, a man.", "on the big street in the garden."]
TARGETS = ["the dog reads.", "on", "a man runs, a cat.", "the street"]
NEIGHBOURS = {"previous": -1, "same": 0, "next": 1}


@pytest.fixture(scope="module")
def bundle(tiny_run: Path) -> Bundle:
    return load_bundle(tiny_run, device="cpu")


def divergence(one: Any, other: Any) -> float:
    """The mean Kullback-Leibler divergence of two distributions from their mean, in bits."""
    found = 0.0
    for p, q in zip(one, other, strict=True):
        found += 0.5 * sum(w * math.log2(2.0 * w / (p + q)) for w in (p, q) if w > 0.0)
    return found


def plainly(bundle: Bundle, kind: str) -> tuple[dict[str, list[float]], list[list[float]]]:
    """Means over all rows, computed one sentence and one row at a time, and the distances of all heads."""
    found: dict[str, list[list[float]]] = {name: [] for name in FIGURES}
    distances = []
    tokenizer = bundle.tokenizers.source
    for source, target in encode_pairs(bundle, SOURCES, TARGETS):
        (look,) = looks(bundle, [(source, target)])
        heads = np.concatenate([layer[0].numpy() for layer in look.weights[kind]])  # [K, Lq, Lk]
        keys = [tokenizer.bos_id, *target] if kind == "decoder" else [*source, tokenizer.eos_id]
        pieces = tokenizer.pieces(keys)
        for position in range(1 if kind == "decoder" else 0, heads.shape[1]):
            rows = heads[:, position]
            seen = position + 1 if kind == "decoder" else len(keys)
            found["entropy"].append([-sum(w * math.log(w) for w in row if w > 0) for row in rows])
            found["maximum"].append([max(row) for row in rows])
            for name, shift in NEIGHBOURS.items():
                if 0 <= position + shift < seen:
                    found[name].append([row[position + shift] for row in rows])
            found["mark"].append([row[0] if kind == "decoder" else row[-1] for row in rows])
            found["punctuation"].append(
                [sum(w for w, piece in zip(row, pieces, strict=True) if is_punctuation(piece)) for row in rows]
            )
            distances.append([[divergence(one, other) for other in rows] for one in rows])
    means = {name: np.mean(values, axis=0).tolist() if values else [] for name, values in found.items()}
    return means, np.mean(distances, axis=0).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_figures_equal_plain_loops(bundle: Bundle, kind: str) -> None:
    statistics = head_statistics(bundle, encode_pairs(bundle, SOURCES, TARGETS))[kind]
    figures, distances = plainly(bundle, kind)
    for name in FIGURES:
        if figures[name]:
            assert statistics.figures[name] == pytest.approx(figures[name], abs=1e-5), name
        else:
            assert kind == "decoder" and name == "next" and np.isnan(statistics.figures[name]).all()
    np.testing.assert_allclose(statistics.distances, distances, atol=1e-4)


def test_a_batch_gives_what_its_sentences_give_alone(bundle: Bundle) -> None:
    pairs = encode_pairs(bundle, SOURCES, TARGETS)
    seen: list[Any] = []
    head_statistics(bundle, pairs, seen.append)
    assert sorted(index for look in seen for index in look.indices) == list(range(len(pairs)))
    for look in seen:
        for row, index in enumerate(look.indices):
            (alone,) = looks(bundle, [pairs[index]])
            for kind in KINDS:
                for together, by_itself in zip(look.weights[kind], alone.weights[kind], strict=True):
                    _, queries, keys = by_itself[0].shape
                    np.testing.assert_allclose(together[row][:, :queries, :keys], by_itself[0], atol=1e-5)


@pytest.mark.parametrize(
    ("piece", "expected"), [("▁.", True), ("...", True), ("▁«", True), ("▁", False), ("a.", False), ("▁$", False)]
)
def test_punctuation(piece: str, expected: bool) -> None:
    assert is_punctuation(piece) is expected
