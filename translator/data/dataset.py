"""Prepared sentence pairs on disk: an uncompressed Arrow file, memory-mapped and never copied."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from translator.errors import DataError

_DIGEST_PAIRS = 1 << 16


_USUAL_PERCENT = 99


def usual_length(lengths: np.ndarray) -> int:
    """Return the length (pieces) that 99 of 100 sentences do not exceed, given those of all."""
    return int(np.percentile(lengths, _USUAL_PERCENT, method="higher"))


class Gathered(NamedTuple):
    """Pieces of N sentence pairs, one after another; sentence n is `tokens[offsets[n]:offsets[n + 1]]`."""

    source_tokens: np.ndarray  # [S] int32
    source_offsets: np.ndarray  # [N + 1] int64
    target_tokens: np.ndarray  # [T] int32
    target_offsets: np.ndarray  # [N + 1] int64


class _Side(NamedTuple):
    starts: np.ndarray  # [N] int64, offsets in the file, counted in int32 (pieces) or bytes (text)
    lengths: np.ndarray  # [N] int32 pieces or int64 bytes


class ParallelDataset:
    """Pairs of piece-id sequences without EOS, and their text if it was kept.

    Each pair takes 24 bytes of host memory for offsets and lengths, and 32 more once text is asked for; pieces and
    text are mapped from the file.
    """

    def __init__(self, path: Path, memory_map: Any, table: pa.Table) -> None:
        """For `open`; `table` must be backed by `memory_map`."""
        self.path = path
        self._table = table
        self._buffer = pa.py_buffer(memory_map)
        self._words = np.frombuffer(self._buffer, dtype=np.int32, count=self._buffer.size // 4)
        self._source = _piece_offsets(table.column("source"), self._buffer)
        self._target = _piece_offsets(table.column("target"), self._buffer)

    @classmethod
    def open(cls, path: str | Path) -> "ParallelDataset":
        """Map a file that `DatasetWriter` wrote; raise `DataError` if it is missing or damaged."""
        file = Path(path)
        try:
            mapped = np.memmap(file, dtype=np.uint8, mode="r") if file.stat().st_size else b""
            table = pa.ipc.open_file(pa.py_buffer(mapped)).read_all()
            if not set(_schema(False).names) <= set(table.column_names):
                raise pa.ArrowInvalid(f"columns {table.column_names}")
            return cls(file, mapped, table)
        except FileNotFoundError:
            raise DataError(f"there is no file {file}; prepare the data again") from None
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"{file} is damaged ({reason}); delete its directory and prepare again") from None

    def __len__(self) -> int:
        return len(self._source.lengths)

    @property
    def source_lengths(self) -> np.ndarray:
        """Pieces of every source sentence, int32 [N], EOS not counted."""
        return self._source.lengths

    @property
    def target_lengths(self) -> np.ndarray:
        """Pieces of every target sentence, int32 [N], EOS not counted."""
        return self._target.lengths

    @property
    def has_text(self) -> bool:
        """Whether the file keeps the text, for `text` and `texts`."""
        return "source_text" in self._table.column_names

    def digest(self) -> str:
        """Hash the pieces of all pairs in order (hex SHA-256), whatever the layout of the file and with what text."""
        digest = sha256()
        for start in range(0, len(self), _DIGEST_PAIRS):
            pairs = self.gather(np.arange(start, min(start + _DIGEST_PAIRS, len(self))))
            for values in pairs:
                digest.update(values.tobytes())
        return digest.hexdigest()

    def source(self, index: int) -> np.ndarray:
        """Return the pieces of a source sentence, a read-only int32 view of the file."""
        return self._view(self._source, index)

    def target(self, index: int) -> np.ndarray:
        """Return the pieces of a target sentence, a read-only int32 view of the file."""
        return self._view(self._target, index)

    def text(self, index: int) -> tuple[str, str]:
        """Return source and target as they were written; raise `DataError` if text was not kept."""
        (source,), (target,) = self.texts(np.array([self._checked(index)]))
        return source, target

    def texts(self, indices: np.ndarray) -> tuple[list[str], list[str]]:
        """Return the sources and the targets of the pairs at `indices` (int [N], any order, with repeats), as `text`.

        Raises `DataError` if text was not kept.
        """
        chosen = self._checked_all(indices)
        # Arrow's `take` joins all chunks of a column of text first, which copies the whole corpus.
        data = memoryview(self._buffer)
        source, target = (
            [
                str(data[start : start + size], "utf-8")
                for start, size in zip(side.starts[chosen].tolist(), side.lengths[chosen].tolist(), strict=True)
            ]
            for side in self._text_sides
        )
        return source, target

    def gather(self, indices: np.ndarray) -> Gathered:
        """Copy the pieces of the pairs at `indices` (int [N], any order, with repeats) into flat arrays."""
        chosen = self._checked_all(indices)
        return Gathered(*self._gather(self._source, chosen), *self._gather(self._target, chosen))

    @cached_property
    def _text_sides(self) -> tuple[_Side, _Side]:
        """Where every text is in the file, in bytes."""
        if not self.has_text:
            raise DataError(f"{self.path} holds pieces without their text")
        source, target = (
            _text_offsets(self._table.column(name), self._buffer) for name in ("source_text", "target_text")
        )
        return source, target

    def _gather(self, side: _Side, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lengths = side.lengths[chosen]
        offsets = np.zeros(len(chosen) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        positions = np.repeat(side.starts[chosen] - offsets[:-1], lengths)
        positions += np.arange(offsets[-1], dtype=np.int64)
        return self._words[positions], offsets

    def _view(self, side: _Side, index: int) -> np.ndarray:
        checked = self._checked(index)
        start = side.starts[checked]
        return self._words[start : start + side.lengths[checked]]

    def _checked_all(self, indices: np.ndarray) -> np.ndarray:
        chosen = np.asarray(indices, dtype=np.int64)
        if chosen.size and not (chosen.min() >= 0 and chosen.max() < len(self)):
            raise IndexError(f"indices {chosen.min()} to {chosen.max()}, expected 0 to {len(self) - 1}")
        return chosen

    def _checked(self, index: int) -> int:
        checked = index + len(self) if index < 0 else index
        if not 0 <= checked < len(self):
            raise IndexError(f"pair {index} of {len(self)}")
        return checked


def _piece_offsets(column: pa.ChunkedArray, buffer: pa.Buffer) -> _Side:
    """Find every sentence of a list column inside the mapped file.

    Offsets are absolute, so that sentences from many record batches can be gathered in one indexing operation.
    """
    starts = [np.zeros(0, dtype=np.int64)]
    lengths = [np.zeros(0, dtype=np.int32)]
    for chunk in column.chunks:
        offsets = chunk.offsets.to_numpy()
        lengths.append(np.diff(offsets))
        if not len(chunk.values):
            starts.append(np.zeros(len(chunk), dtype=np.int64))
            continue
        base = (chunk.values.buffers()[1].address - buffer.address) // 4 + chunk.values.offset
        starts.append(base + offsets[:-1].astype(np.int64))
    return _Side(np.concatenate(starts), np.concatenate(lengths))


def _text_offsets(column: pa.ChunkedArray, buffer: pa.Buffer) -> _Side:
    """Find every text of a column inside the mapped file."""
    starts = [np.zeros(0, dtype=np.int64)]
    lengths = [np.zeros(0, dtype=np.int64)]
    for chunk in column.chunks:
        _, raw_offsets, data = chunk.buffers()
        offsets = np.frombuffer(raw_offsets, dtype=np.int64, count=len(chunk) + 1, offset=8 * chunk.offset)
        lengths.append(np.diff(offsets))
        base = data.address - buffer.address if data is not None and data.size else 0
        starts.append(base + offsets[:-1])
    return _Side(np.concatenate(starts), np.concatenate(lengths))


def _schema(with_text: bool) -> pa.Schema:
    fields = [pa.field("source", pa.list_(pa.int32())), pa.field("target", pa.list_(pa.int32()))]
    if with_text:
        fields += [pa.field("source_text", pa.large_string()), pa.field("target_text", pa.large_string())]
    return pa.schema(fields)


class DatasetWriter:
    """Writes record batches to a new file, for `ParallelDataset.open`; a context manager."""

    def __init__(self, path: Path, with_text: bool) -> None:
        self.schema = _schema(with_text)
        self.with_text = with_text
        self.pairs = 0
        self._file = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._file, self.schema)

    def write(
        self,
        sources: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        texts: tuple[list[str], list[str]] | None = None,
    ) -> None:
        """Append a record batch of piece ids, with the texts if the file keeps them."""
        self.write_batch(record_batch(sources, targets, texts))

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Append what `record_batch` made."""
        self._writer.write_batch(batch)
        self.pairs += len(batch)

    def __enter__(self) -> "DatasetWriter":
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.close()
        self._file.close()


def record_batch(
    sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], texts: tuple[list[str], list[str]] | None
) -> pa.RecordBatch:
    """Make a record batch for `DatasetWriter.write_batch` of piece ids, and texts if the file keeps them."""
    columns: list[Any] = [_list_array(sources), _list_array(targets)]
    if texts is not None:
        columns += [pa.array(side, pa.large_string()) for side in texts]
    return pa.record_batch(columns, schema=_schema(texts is not None))


def _list_array(sequences: Iterable[Sequence[int]]) -> pa.ListArray:
    rows = list(sequences)
    offsets = np.zeros(len(rows) + 1, dtype=np.int32)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    values = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(offsets[-1]))
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))
