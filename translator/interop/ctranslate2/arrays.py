"""The file model.bin of CTranslate2, read as fp32.

It begins with uint32 version (6), the name of the specification and its uint32 revision. Text is a uint16 length and
bytes that end with NUL. Then come a uint32 count and as many arrays: name, uint8 dimensions, uint32 shape, uint8 type,
uint32 bytes, data. A count of aliases follows, each of them two names. Quantised weights are q / scale, with a scale
for each row (int8) or for the whole (int16), in the array with `_scale` after its name (CTranslate2:
src/models/model.cc, python/ctranslate2/specs/model_spec.py).
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from translator.errors import CheckpointError
from translator.runtime.counted import counted
from translator.runtime.host_memory import check_host_memory

_VERSION, _SPECIFICATION = 6, "TransformerSpec"
_MOST_ARRAYS = 100_000
_TYPES: dict[int, np.dtype[Any]] = {
    0: np.dtype("<f4"),
    1: np.dtype("i1"),
    2: np.dtype("<i2"),
    3: np.dtype("<i4"),
    4: np.dtype("<f2"),
}
_BFLOAT16 = 5


@dataclass(frozen=True)
class LibraryArrays:
    """Arrays by name, aliases included; whole numbers are flags and counts."""

    values: dict[str, NDArray[np.float32]]

    def get(self, name: str, *default: int) -> int:
        """Return a single number; raise `KeyError` if it is missing and has no default."""
        if name not in self.values and default:
            return default[0]
        return int(self.values[name].item())


def read_arrays(file: Path) -> LibraryArrays:
    """Read `model.bin`; raise `CheckpointError` if it is damaged or no Transformer."""
    try:
        check_host_memory(6 * file.stat().st_size, f"the arrays of {file}")
        return LibraryArrays(_read(_Reader(memoryview(file.read_bytes()))))
    except OSError as error:
        raise CheckpointError(f"cannot read {file}: {error.strerror or error}") from None
    except (ValueError, struct.error, KeyError) as error:
        raise CheckpointError(
            f"{file} is damaged or no Transformer of CTranslate2 ({' '.join(str(error).split())}); expected a "
            f"model.bin of version {_VERSION}, as its converters write it"
        ) from None


class _Reader:
    def __init__(self, data: memoryview) -> None:
        self._data, self._offset = data, 0

    def number(self, kind: str) -> int:
        (value,) = struct.unpack_from(f"<{kind}", self._data, self._offset)
        self._offset += struct.calcsize(kind)
        return int(value)

    def take(self, length: int) -> memoryview:
        if length > len(self._data) - self._offset:
            raise ValueError("it ends early")
        self._offset += length
        return self._data[self._offset - length : self._offset]

    def text(self) -> str:
        return bytes(self.take(self.number("H"))).rstrip(b"\0").decode("utf-8", "replace")


def _read(reader: _Reader) -> dict[str, NDArray[np.float32]]:
    version, specification = reader.number("I"), reader.text()
    if version != _VERSION or specification != _SPECIFICATION:
        raise ValueError(f"version {version} and {specification[:40]!r}")
    reader.number("I")
    count = reader.number("I")
    if count > _MOST_ARRAYS:
        raise ValueError(counted(count, "array"))
    stored: dict[str, NDArray[np.float32]] = {}
    quantised: set[str] = set()
    for _ in range(count):
        name = reader.text()
        shape = [reader.number("I") for _ in range(reader.number("B"))]
        kind, size = reader.number("B"), reader.number("I")
        stored[name] = _array(reader.take(size), kind, shape)
        if kind in (1, 2) and shape:
            quantised.add(name)
    for name in quantised & {name.removesuffix("_scale") for name in stored if name.endswith("_scale")}:
        scale = stored[f"{name}_scale"]
        if not np.isfinite(scale).all() or not scale.all():
            raise ValueError(f"the scale of {name} is not a number, or zero")
        stored[name] = stored[name] / scale.reshape(-1, *[1] * (stored[name].ndim - 1))
    for _ in range(min(reader.number("I"), _MOST_ARRAYS)):
        alias, name = reader.text(), reader.text()
        stored[alias] = stored[name]
    return stored


def _array(raw: memoryview, kind: int, shape: list[int]) -> NDArray[np.float32]:
    if kind == _BFLOAT16:
        values = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    elif kind in _TYPES:
        values = np.frombuffer(raw, _TYPES[kind]).astype(np.float32)
    else:
        raise ValueError(f"an array of the type {kind}")
    if values.size != math.prod(shape):
        raise ValueError(f"an array of the shape {shape} with {values.size} numbers")
    return values.reshape(shape)
