"""The weights of all heads in a sentence pair as NPZ or JSON, for other programs.

Both formats have the same names. S counts source pieces, T target pieces and H the heads of a layer.

| name                         | what it is                                                                   |
|------------------------------|------------------------------------------------------------------------------|
| `version`                    | 1; changes when a name or a meaning changes                                  |
| `run`                        | name of the run                                                              |
| `source_text`, `target_text` | the sentence and its translation                                             |
| `source`                     | `[S]` pieces the encoder reads: a language tag if there is one, `</s>` last  |
| `target`                     | `[T]` pieces the decoder reads: `<s>` first                                  |
| `predicted`                  | `[T]` piece that each position of the decoder predicts: `</s>` last          |
| `alignment_head`             | head that the run's alignments come from, such as `cross.4.3`; empty if none |
| `encoder.1`, ...             | `[H, S, S]` weights of encoder layer 1, ...                                  |
| `decoder.1`, ...             | `[H, T, T]` weights of decoder self-attention; zero above the diagonal       |
| `cross.1`, ...               | `[H, T, S]` weights of cross-attention; row t is the one that predicts t     |

A row is the piece that looks, a column a piece that it looks at; each row sums to one. Weights are 32-bit floats; JSON
has the shortest decimals that read back as the same float. Layers are numbered as in the names of heads, and heads are
the first axis: `cross.2.1` is `numbers["cross.2"][0]`. Layers may have different numbers of heads. U+2581 begins a
word.

    numbers = numpy.load("attention.npz")           # without pickle
    numbers = json.load(open("attention.json"))
"""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from translator.config import KINDS
from translator.inspection.maps import AttentionMaps
from translator.runtime.outputs import check_output, write_output

NUMBERS = (".npz", ".json")
VERSION = 1


def write_numbers(maps: AttentionMaps, path: Path) -> Path:
    """Write everything in `maps` as NPZ or JSON, depending on the file name, and return the file.

    Raises `DataError` if the name ends differently, and `TranslatorError` if the file cannot be written.
    """
    check_output(path, NUMBERS)
    if path.suffix.lower() == ".json":
        content = {**_texts(maps), **{name: _digits(weights) for name, weights in _weights(maps).items()}}
        return write_output(path, (json.dumps(content, ensure_ascii=False) + "\n").encode("utf-8"))
    file = io.BytesIO()
    arrays: dict[str, Any] = {**{name: np.asarray(text) for name, text in _texts(maps).items()}, **_weights(maps)}
    np.savez_compressed(file, **arrays)
    return write_output(path, file.getvalue())


def _texts(maps: AttentionMaps) -> dict[str, Any]:
    return {
        "version": VERSION,
        "run": maps.run,
        "source_text": maps.source_text,
        "target_text": maps.target_text,
        "source": list(maps.source),
        "target": list(maps.target),
        "predicted": list(maps.predicted),
        "alignment_head": str(maps.alignment_head or ""),
    }


def _weights(maps: AttentionMaps) -> dict[str, NDArray[np.float32]]:
    return {f"{kind}.{layer}": weights for kind in KINDS for layer, weights in enumerate(maps.weights[kind], start=1)}


def _digits(weights: NDArray[np.float32]) -> Any:
    """Return nested lists of the shortest decimals that read back as the same 32-bit floats."""
    return weights.astype(np.float32).astype("U32").astype(np.float64).tolist()
