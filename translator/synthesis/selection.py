"""Which synthetic pairs are worth learning from: those with a translation, without the worst by their score."""

from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from translator.text.formats.synthetic import Manifest, read_rows, shard_name

_EXAMPLES = 10


def select(directory: Path, shards: int, columns: list[str], keep_best: float) -> tuple[Manifest, Sequence[int]]:
    """Read all shards, and choose the share `keep_best` of their pairs by the last column, a score.

    Returns the manifest, and the first rows (from 1) that have a source but no translation. Host memory grows by 8
    bytes a row.
    """
    scores, rows, failed, without = array("d"), 0, list[int](), 0
    for index in range(shards):
        for cells in read_rows(directory / shard_name(index), columns):
            rows += 1
            has_text = [bool(cell.strip()) for cell in cells[:2]]
            if not all(has_text):
                without += 1
                if any(has_text) and len(failed) < _EXAMPLES:
                    failed.append(rows)
            elif cells[-1]:
                scores.append(float(cells[-1]))
    return _manifest(scores, rows, without, shards, columns, keep_best), failed


def _manifest(
    scores: "array[float]", rows: int, without: int, shards: int, columns: list[str], keep_best: float
) -> Manifest:
    if keep_best == 1.0 or not scores:
        return Manifest(columns, shards, rows, without, None, None, rows - without)
    values = np.frombuffer(scores)
    # In binary, 100 * (1 - 0.9) is a little less than 10.
    dropped = int(len(values) * (1.0 - keep_best) + 1e-6)
    least = float(np.partition(values, dropped)[dropped])
    return Manifest(columns, shards, rows, without, columns[-1], least, int((values >= least).sum()))
