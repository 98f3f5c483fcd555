"""What the page is given: the pieces and words of both sides, and the weights of all heads in one run of bytes.

Legend: `P` pieces of a side, `H` heads of a layer, `Lq`, `Lk` pieces that look and pieces that are looked at.
"""

import base64
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from translator.config import KINDS, Head
from translator.errors import DataError
from translator.inspection.maps import AttentionMaps

_WORD = "\u2581"
_TAG = re.compile(r"<2[^<>\s]+>")
_BYTES = re.compile(r"(?:<0x[0-9A-Fa-f]{2}>)+")


def encode_maps(maps: AttentionMaps) -> dict[str, Any]:
    """Return what the page's script reads, ready for JSON.

    `weights` holds the maps of all heads in the order of `heads`, row by row, one byte a weight, in base64. A layer
    without heads has none there, so `layers` counts the layers of each kind.
    """
    heads = list(maps.heads())
    blocks = [quantise(_finite(maps, head)).tobytes() for head in heads]
    tagged = maps.source and _TAG.fullmatch(maps.source[0])
    marks = {
        "source": {0, len(maps.source) - 1} if tagged else {len(maps.source) - 1},
        "target": {0},
        "predicted": {len(maps.predicted) - 1},
    }
    return {
        "run": maps.run,
        "sourceText": maps.source_text,
        "targetText": maps.target_text,
        "sides": {side: describe_side(getattr(maps, side), places) for side, places in marks.items()},
        "layers": {kind: len(maps.weights[kind]) for kind in KINDS},
        "heads": [[*head, *figures(maps.of(head), head.kind)] for head in heads],
        "alignmentHead": str(maps.alignment_head) if maps.alignment_head else None,
        "weights": base64.b64encode(b"".join(blocks)).decode("ascii"),
    }


def quantise(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return `round(255 sqrt(w))`, which reads back as `(q / 255)^2`, the page's weights before each row is scaled to
    sum to one.

    The square root spends the steps where most weights are: a weight is off by at most 0.0039 near 1 and 0.0004 near
    0.01. Zero, so also a masked position, stays exactly zero; of all others only those below 4e-6 become zero.
    """
    return np.rint(255.0 * np.sqrt(np.clip(weights.astype(np.float64), 0.0, 1.0))).astype(np.uint8)


def figures(weights: NDArray[np.float32], kind: str) -> tuple[float, float]:
    """Mean entropy in nats and mean largest weight of the rows `[Lq, Lk]` of a head.

    The decoder's first row, which sees itself alone, counts only where there is no other.
    """
    rows = weights.astype(np.float64)
    if kind == "decoder" and len(rows) > 1:
        rows = rows[1:]
    surprise = -np.log(rows, where=rows > 0.0, out=np.zeros_like(rows))
    return round(float((rows * surprise).sum(1).mean()), 4), round(float(rows.max(1).mean()), 4)


def describe_side(pieces: Sequence[str], marks: set[int]) -> dict[str, list[Any]]:
    """Return the pieces, the number of each piece's word `[P]`, and the words as text.

    A word begins with every piece that begins with U+2581, with every mark and behind it.
    """
    begins = [
        place > 0 and (piece.startswith(_WORD) or bool({place - 1, place} & marks))
        for place, piece in enumerate(pieces)
    ]
    numbers = list(accumulate(map(int, begins)))
    words = [""] * (numbers[-1] + 1 if numbers else 0)
    for number, piece in zip(numbers, pieces, strict=True):
        words[number] += piece
    return {"pieces": list(pieces), "numbers": numbers, "words": list(map(_written, words))}


def _written(word: str) -> str:
    """A word without the mark of its beginning, and with the characters that its byte pieces spell."""

    def spelt(found: re.Match[str]) -> str:
        return bytes.fromhex(found[0].replace("<0x", "").replace(">", "")).decode("utf-8", errors="replace")

    return _BYTES.sub(spelt, word.removeprefix(_WORD)) or word


def _finite(maps: AttentionMaps, head: Head) -> NDArray[np.float32]:
    weights = maps.of(head)
    if not np.isfinite(weights).all():
        raise DataError(f"{maps.run}: the weights of head {head} are not all numbers; its checkpoint may be damaged")
    return weights
