"""The data of the page: the pieces and words of both sides, and the weights of all heads as bytes.

Shapes: Lq pieces that look, Lk pieces that are looked at.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from translator.config import KINDS, Head
from translator.errors import DataError
from translator.inspection.maps import AttentionMaps

_WORD = "\u2581"
_BYTES = re.compile(r"(?:<0x[0-9A-Fa-f]{2}>)+")


def encode_maps(maps: AttentionMaps, checkpoints: Mapping[int, AttentionMaps] | None = None) -> dict[str, Any]:
    """Return what the page's script reads, ready for JSON.

    `checkpoints` are maps of the same pair of sentences by step, between which the page can be switched.

    `weights` has the maps of all heads in the order of `heads`, row by row, one byte per weight, in base64. `layers` is
    the number of layers of each kind, which may include layers without heads. Raises `DataError` if a weight is not
    finite.
    """
    heads = list(maps.heads())
    special = {
        "source": {0, len(maps.source) - 1} if maps.has_tag else {len(maps.source) - 1},
        "target": {0},
        "predicted": {len(maps.predicted) - 1},
    }
    return {
        "run": maps.run,
        "sourceText": maps.source_text,
        "targetText": maps.target_text,
        "sides": {side: describe_side(getattr(maps, side), indices) for side, indices in special.items()},
        "layers": {kind: len(maps.weights[kind]) for kind in KINDS},
        "heads": [[*head, *figures(maps.of(head), head.kind)] for head in heads],
        "alignmentHead": str(maps.alignment_head) if maps.alignment_head else None,
        "weights": _encode_weights(maps),
        "checkpoints": [
            {
                "step": step,
                "figures": [figures(each.of(head), head.kind) for head in heads],
                "weights": _encode_weights(each),
            }
            for step, each in sorted((checkpoints or {}).items())
        ],
    }


def _encode_weights(maps: AttentionMaps) -> str:
    blocks = [quantise(_finite(maps, head)).tobytes() for head in maps.heads()]
    return base64.b64encode(b"".join(blocks)).decode("ascii")


def quantise(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return `q = round(255 sqrt(w))`; the page computes `(q / 255)^2` and scales each row to sum to one.

    The square root makes the steps small where most weights are: the error is at most 0.0039 near 1 and 0.0004 near
    0.01. Zero, and so a masked position, stays exactly zero; other weights become zero only if they are below 4e-6.
    """
    return np.rint(255.0 * np.sqrt(np.clip(weights.astype(np.float64), 0.0, 1.0))).astype(np.uint8)


def figures(weights: NDArray[np.float32], kind: str) -> tuple[float, float]:
    """Return the mean entropy in nats and the mean largest weight of the rows [Lq, Lk] of a head.

    The decoder's first row, which can only look at itself, is left out if there are others.
    """
    rows = weights.astype(np.float64)
    if kind == "decoder" and len(rows) > 1:
        rows = rows[1:]
    surprise = -np.log(rows, where=rows > 0.0, out=np.zeros_like(rows))
    return round(float((rows * surprise).sum(1).mean()), 4), round(float(rows.max(1).mean()), 4)


def describe_side(pieces: Sequence[str], special: set[int]) -> dict[str, list[Any]]:
    """Return the pieces, the index of each piece's word as `numbers`, and the words as text.

    A word begins with every piece that begins with U+2581, with every special token, and after every special token.
    """
    begins = [
        index > 0 and (piece.startswith(_WORD) or bool({index - 1, index} & special))
        for index, piece in enumerate(pieces)
    ]
    indices = list(accumulate(map(int, begins)))
    words = [""] * (indices[-1] + 1 if indices else 0)
    for index, piece in zip(indices, pieces, strict=True):
        words[index] += piece
    return {"pieces": list(pieces), "numbers": indices, "words": list(map(_written, words))}


def _written(word: str) -> str:
    """Return a word without U+2581, and with the characters that its byte pieces spell."""

    def spelt(found: re.Match[str]) -> str:
        return bytes.fromhex(found[0].replace("<0x", "").replace(">", "")).decode("utf-8", errors="replace")

    return _BYTES.sub(spelt, word.removeprefix(_WORD)) or word


def _finite(maps: AttentionMaps, head: Head) -> NDArray[np.float32]:
    weights = maps.of(head)
    if not np.isfinite(weights).all():
        raise DataError(f"{maps.run}: the weights of head {head} are not all numbers; its checkpoint may be damaged")
    return weights
