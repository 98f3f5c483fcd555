"""Which target pieces translate which source pieces: counts over prepared pairs, by their word links or by IBM model 1.

IBM model 1 (Brown et al. 1993) takes every source piece of a pair, and an empty one, for where a target piece may come
from, and finds by expectation and maximisation which of them explain it best over all pairs.

Legend (docs/shapes.md): `R` rows of the table: source and target pieces that occur together.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from translator.data.dataset import ParallelDataset

_ROUNDS = 5
_BLOCK_PAIRS = 8192


class Lexicon(NamedTuple):
    """Target pieces of source pieces, in the order of the source piece, the most probable first."""

    source: np.ndarray  # [R] int64
    target: np.ndarray  # [R] int64
    probability: np.ndarray  # [R] float64, of the target piece given the source piece
    frequency: np.ndarray  # int64, of every target piece


def make_lexicon(dataset: ParallelDataset, source_pieces: int, target_pieces: int, pairs: int) -> Lexicon:
    """Count over at most `pairs` pairs, evenly drawn, with vocabularies of these sizes.

    Pairs with word links count if there are any; otherwise the links are those of IBM model 1.
    """
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(pairs, len(dataset))).astype(np.int64))
    blocks = [chosen[start : start + _BLOCK_PAIRS] for start in range(0, len(chosen), _BLOCK_PAIRS)]
    frequency = np.zeros(target_pieces, dtype=np.int64)
    for block in blocks:
        frequency += np.bincount(dataset.gather(block).target_tokens, minlength=target_pieces)
    keys, counts = _linked(dataset, blocks, target_pieces)
    if not len(keys):
        keys, counts = _ibm_1(dataset, blocks, source_pieces, target_pieces)
    source, target = np.divmod(keys, target_pieces)
    probability = counts / np.bincount(source, counts, source_pieces + 1)[source]
    real = source < source_pieces
    source, target, probability = source[real], target[real], probability[real]
    order = np.lexsort((target, -probability, source))
    return Lexicon(source[order], target[order], probability[order], frequency)


def _linked(dataset: ParallelDataset, blocks: list[np.ndarray], target_pieces: int) -> tuple[np.ndarray, np.ndarray]:
    """Count the linked pieces of all pairs; return the keys source * target_pieces + target, ascending, and counts."""
    found = [np.zeros(0, dtype=np.int64)]
    for block in blocks:
        pairs, links = dataset.gather_linked(block)
        source = pairs.source_tokens[pairs.source_offsets[links[:, 0]] + links[:, 1]].astype(np.int64)
        found.append(source * target_pieces + pairs.target_tokens[pairs.target_offsets[links[:, 0]] + links[:, 2]])
    keys, counts = np.unique(np.concatenate(found), return_counts=True)
    return keys, counts.astype(np.float64)


def _ibm_1(
    dataset: ParallelDataset, blocks: list[np.ndarray], source_pieces: int, target_pieces: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return keys as `_linked` does, with the expected counts of the last round; the empty piece is `source_pieces`."""
    keys = np.zeros(0, dtype=np.int64)
    for cells, _ in _cells(dataset, blocks, source_pieces, target_pieces):
        keys = np.union1d(keys, cells)
    probability, counts = np.ones(len(keys)), np.zeros(len(keys))
    source = keys // target_pieces
    for _ in range(_ROUNDS):
        counts = np.zeros(len(keys))
        for cells, tokens in _cells(dataset, blocks, source_pieces, target_pieces):
            rows = np.searchsorted(keys, cells)
            shares = probability[rows]
            shares /= np.bincount(tokens, shares)[tokens]
            counts += np.bincount(rows, shares, len(keys))
        probability = counts / np.bincount(source, counts)[source]
    return keys, counts


def _cells(
    dataset: ParallelDataset, blocks: list[np.ndarray], empty: int, target_pieces: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield for each block the key of every source and target piece of a pair, and the index of the target token."""
    for block in blocks:
        pairs = dataset.gather(block)
        source_lengths, target_lengths = np.diff(pairs.source_offsets), np.diff(pairs.target_offsets)
        # Each target token has a cell for every source piece of its pair, and one for the empty piece.
        widths = np.repeat(source_lengths + 1, target_lengths)
        tokens = np.repeat(np.arange(len(widths)), widths)
        columns = np.arange(len(tokens)) - np.repeat(np.cumsum(widths) - widths, widths)
        begins = np.repeat(pairs.source_offsets[:-1], target_lengths)[tokens]
        last = columns == widths[tokens] - 1
        positions = np.minimum(begins + columns, len(pairs.source_tokens) - 1)
        source = np.where(last, empty, pairs.source_tokens[positions]).astype(np.int64)
        yield source * target_pieces + pairs.target_tokens[tokens], tokens
