"""The files of Marian: named arrays in `.npz` (of NumPy) and `.bin` (its own format), read as fp32.

A `.bin` file begins with uint64 version (1) and count n, then n headers of four uint64 (bytes of the name, type,
dimensions, bytes of the data), the names (NUL at the end), the shapes as int32, a uint64 of padding and the padding,
and the data. `intgemm8` arrays are int8 followed by one fp32 multiplier, the value being q / multiplier; they are
stored transposed, except for the embedding, which is read by rows (Marian: src/common/binary.cpp, src/tensors/cpu).
"""

import math
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from translator.errors import CheckpointError
from translator.runtime.counted import counted
from translator.runtime.host_memory import check_host_memory

Arrays = dict[str, NDArray[np.float32]]

SETTINGS = "special:model.yml"
"""The array that holds the settings of the model, as text."""
_FLOAT32, _INTGEMM8, _INT8 = 0x404, 0x4101, 0x101
_MOST_ARRAYS, _LONGEST_NAME = 100_000, 1000
_BY_ROWS = {"Wemb", "encoder_Wemb", "decoder_Wemb"}


@dataclass(frozen=True)
class MarianFile:
    """What a model file of Marian holds."""

    arrays: Arrays
    settings: str
    """YAML."""


def read_marian(path: Path) -> MarianFile:
    """Read a `.npz` or `.bin` file; raise `CheckpointError` if it is damaged or of a kind that cannot be read."""
    try:
        check_host_memory(6 * path.stat().st_size, f"the arrays of {path}")
        found = _read_npz(path) if path.suffix == ".npz" else _read_bin(path)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, struct.error, zipfile.BadZipFile, EOFError, KeyError, MemoryError) as error:
        raise CheckpointError(
            f"{path} is damaged or not a model file of Marian ({' '.join(str(error).split()) or 'it ends early'}); "
            "expected .npz or .bin as marian or marian-conv writes it"
        ) from None
    if SETTINGS not in found:
        raise CheckpointError(
            f"{path} does not hold the settings of its model ({SETTINGS}); expected a file that marian or marian-conv "
            "wrote"
        )
    settings = found.pop(SETTINGS).astype(np.int64) & 0xFF
    return MarianFile(found, bytes(settings.astype(np.uint8)).rstrip(b"\0").decode("utf-8", "replace"))


def _read_npz(path: Path) -> Arrays:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        # Marian stores without compression; a small file that claims to be huge is not one of its.
        if sum(member.file_size for member in members) > 100 * path.stat().st_size:
            raise ValueError("its arrays claim to be a hundred times as large as the file")
    with np.load(path, allow_pickle=False) as archive:
        return {name: np.asarray(archive[name], np.float32) for name in archive.files}


def _read_bin(path: Path) -> Arrays:
    data = memoryview(path.read_bytes())
    version, count = struct.unpack_from("<QQ", data, 0)
    if version != 1 or not 0 < count <= _MOST_ARRAYS:
        raise ValueError(f"it begins with version {version} and {counted(count, 'array')}, expected version 1")
    headers = [struct.unpack_from("<QQQQ", data, 16 + 32 * index) for index in range(count)]
    offset = 16 + 32 * count
    names: list[str] = []
    for length, *_ in headers:
        if not 0 < length <= _LONGEST_NAME:
            raise ValueError(f"a name of {length} bytes")
        names.append(_take(data, offset, length).rstrip(b"\0").decode())
        offset += length
    shapes: list[tuple[int, ...]] = []
    for _, _, dimensions, _ in headers:
        if dimensions > 8:
            raise ValueError(f"an array of {dimensions} dimensions")
        shapes.append(struct.unpack_from(f"<{dimensions}i", data, offset))
        offset += 4 * dimensions
    (padding,) = struct.unpack_from("<Q", data, offset)
    offset += 8 + padding
    arrays: Arrays = {}
    for (_, kind, _, length), name, shape in zip(headers, names, shapes, strict=True):
        if name in arrays or any(size < 0 for size in shape):
            raise ValueError(f"the array {name!r} is there twice, or has a negative size")
        arrays[name] = _array(_take(data, offset, length), name, kind, shape)
        offset += length
    return arrays


def _take(data: memoryview, offset: int, length: int) -> bytes:
    if length > len(data) - offset:
        raise ValueError("it ends early")
    return bytes(data[offset : offset + length])


def _array(raw: bytes, name: str, kind: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if name == SETTINGS:
        return np.frombuffer(raw, np.int8).astype(np.float32)
    size = math.prod(shape)
    if kind == _FLOAT32:
        return np.frombuffer(raw, "<f4", size).reshape(shape).astype(np.float32)
    if kind == _INTGEMM8:
        multiplier = float(np.frombuffer(raw, "<f4", 1, size)[0])
        if not math.isfinite(multiplier) or multiplier == 0.0:
            raise ValueError(f"the multiplier of {name} is {multiplier}")
        values = np.frombuffer(raw, np.int8, size).astype(np.float32) / np.float32(multiplier)
        return values.reshape(shape) if name in _BY_ROWS else np.ascontiguousarray(values.reshape(shape[::-1]).T)
    if kind == _INT8:
        return np.frombuffer(raw, np.int8, size).reshape(shape).astype(np.float32)
    raise ValueError(f"{name} has the type {kind:#x}; expected float32 or intgemm8, so convert it with marian-conv")
