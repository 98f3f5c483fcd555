"""Which target pieces translate which source pieces: against IBM model 1 in a few lines, and by word links."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from translator.data import ParallelDataset, lexicon
from translator.data.arrow_file import DatasetWriter
from translator.data.lexicon import make_lexicon

SOURCE, TARGET = 12, 15
EMPTY = SOURCE


def write(
    path: Path, pairs: list[tuple[list[int], list[int]]], links: list[list[int]] | None = None
) -> ParallelDataset:
    with DatasetWriter(path, with_text=False, with_links=links is not None) as writer:
        writer.write([source for source, _ in pairs], [target for _, target in pairs], links=links)
    return ParallelDataset.open(path)


def some_pairs(count: int) -> list[tuple[list[int], list[int]]]:
    """Target pieces are source pieces plus 3, in another order, with noise and blank sides."""
    random = np.random.default_rng(1)
    made: list[tuple[list[int], list[int]]] = [([], [3]), ([4], [])]
    for _ in range(count):
        source = random.integers(0, SOURCE, random.integers(1, 6)).tolist()
        target = [piece + 3 for piece in random.permutation(source).tolist() if random.random() < 0.9]
        made.append((source, [*target, int(random.integers(0, TARGET))]))
    return made


def ibm_1(pairs: list[tuple[list[int], list[int]]], rounds: int) -> dict[tuple[int, int], float]:
    """The probability of a target piece given a source piece, as Brown et al. 1993 estimate it."""
    probability: dict[tuple[int, int], float] = defaultdict(lambda: 1.0)
    for _ in range(rounds):
        counts: dict[tuple[int, int], float] = defaultdict(float)
        totals: dict[int, float] = defaultdict(float)
        for source, target in pairs:
            for piece in target:
                whole = sum(probability[other, piece] for other in [*source, EMPTY])
                for other in [*source, EMPTY]:
                    counts[other, piece] += probability[other, piece] / whole
                    totals[other] += probability[other, piece] / whole
        probability = defaultdict(float, {key: count / totals[key[0]] for key, count in counts.items()})
    return {key: value for key, value in probability.items() if key[0] != EMPTY}


@pytest.mark.parametrize("block", [3, 1000])
def test_ibm_model_1(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicon, "_BLOCK_PAIRS", block)
    pairs = some_pairs(60)
    found = make_lexicon(write(tmp_path / "pairs", pairs), SOURCE, TARGET, 1000)
    expected = ibm_1(pairs, 5)
    keys = list(zip(found.source.tolist(), found.target.tolist(), strict=True))
    assert sorted(keys) == sorted(expected)
    np.testing.assert_allclose(found.probability, [expected[key] for key in keys], rtol=1e-9)
    # In order of the source piece, and the translation first.
    assert found.source.tolist() == sorted(found.source.tolist())
    firsts = np.searchsorted(found.source, np.arange(SOURCE))
    assert (found.target[firsts] == np.arange(SOURCE) + 3).all()
    assert (
        found.frequency.tolist() == np.bincount([piece for _, row in pairs for piece in row], minlength=TARGET).tolist()
    )


def test_pairs_are_drawn_evenly(tmp_path: Path) -> None:
    data = write(tmp_path / "pairs", [([piece], [piece]) for piece in range(SOURCE)])
    assert make_lexicon(data, SOURCE, TARGET, 3).source.tolist() == [0, 5, 11]


def test_word_links_count_if_there_are_some(tmp_path: Path) -> None:
    pairs = [([5, 6], [7, 8]), ([5], [8, 9]), ([6], [7])]
    data = write(tmp_path / "pairs", pairs, [[0, 1, 1, 0], [0, 0], []])
    found = make_lexicon(data, SOURCE, TARGET, 10)
    assert found.source.tolist() == [5, 6] and found.target.tolist() == [8, 7]
    assert found.probability.tolist() == [1.0, 1.0]
    assert found.frequency[[7, 8, 9]].tolist() == [2, 2, 1]
