"""One uncompressed Arrow file of prepared pairs: written in record batches, memory-mapped, and never copied."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from translator.errors import DataError


class _Column(NamedTuple):
    """Where a column is in a file, by its B record batches."""

    offsets: np.ndarray  # [B] int64, where the offsets begin, counted in offsets
    values: np.ndarray  # [B] int64, where the values begin, counted in values


class ArrowFile:
    """One mapped Arrow file. Nothing is held for each pair: offsets are read where they are in the file."""

    def __init__(self, path: Path) -> None:
        """Map a file that `DatasetWriter` wrote; raise `DataError` if it is missing or damaged."""
        try:
            mapped = np.memmap(path, dtype=np.uint8, mode="r") if path.stat().st_size else b""
            self.buffer = pa.py_buffer(mapped)
            table = pa.ipc.open_file(self.buffer).read_all()
            if not set(_schema(False, False).names) <= set(table.column_names):
                raise pa.ArrowInvalid(f"columns {table.column_names}")
        except FileNotFoundError:
            raise DataError(f"there is no file {path}; prepare the data again") from None
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"{path} is damaged ({reason}); delete its directory and prepare again") from None
        self.path, self.pairs = path, len(table)
        self.has_text = "source_text" in table.column_names
        self.has_links = "links" in table.column_names
        self.words = self._view(np.int32)
        self._long_words = self._view(np.int64)
        sizes = [len(chunk) for chunk in table.column("source").chunks]
        self._first = np.cumsum([0, *sizes], dtype=np.int64)  # [B + 1] index of the first pair of every record batch
        self._columns = {name: self._find(table.column(name)) for name in table.column_names}

    def _view(self, kind: type) -> np.ndarray:
        return np.frombuffer(self.buffer, dtype=kind, count=self.buffer.size // np.dtype(kind).itemsize)

    def _find(self, column: pa.ChunkedArray) -> _Column:
        """Find the offsets and the values of every record batch of a column of lists or texts."""
        is_text = pa.types.is_large_string(column.type)
        offsets, values = [], []
        for chunk in column.chunks:
            buffers = chunk.buffers()
            data = buffers[2] if is_text else chunk.values.buffers()[1]
            offsets.append((buffers[1].address - self.buffer.address) // (8 if is_text else 4))
            start = data.address - self.buffer.address if data is not None and data.size else 0
            values.append(start if is_text else start // 4)
        return _Column(np.array(offsets, dtype=np.int64), np.array(values, dtype=np.int64))

    def locate(self, name: str, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where the rows of a column begin and how long they are (int64 [N] each), in words or bytes of text."""
        column = self._columns[name]
        words = self._long_words if name.endswith("_text") else self.words
        batches = np.searchsorted(self._first, indices, side="right") - 1
        at = column.offsets[batches] + indices - self._first[batches]
        begins = words[at].astype(np.int64)
        return column.values[batches] + begins, words[at + 1] - begins

    def lengths(self, name: str) -> np.ndarray:
        """Return the pieces of every sentence of a column, int32 [pairs]."""
        starts = self._columns[name].offsets.tolist()
        sizes = np.diff(self._first).tolist()
        parts = [np.diff(self.words[at : at + size + 1]) for at, size in zip(starts, sizes, strict=True)]
        return np.concatenate([np.zeros(0, dtype=np.int32), *parts])


def _schema(with_text: bool, with_links: bool) -> pa.Schema:
    fields = [pa.field("source", pa.list_(pa.int32())), pa.field("target", pa.list_(pa.int32()))]
    if with_text:
        fields += [pa.field("source_text", pa.large_string()), pa.field("target_text", pa.large_string())]
    if with_links:
        # Source and target piece of each link by turns.
        fields.append(pa.field("links", pa.list_(pa.int32())))
    return pa.schema(fields)


class DatasetWriter:
    """Writes record batches to a new file, for `ParallelDataset.open`; a context manager."""

    def __init__(self, path: Path, with_text: bool, with_links: bool = False) -> None:
        self.schema = _schema(with_text, with_links)
        self.with_text = with_text
        self.pairs = 0
        self._file = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._file, self.schema)

    def write(
        self,
        sources: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        texts: tuple[list[str], list[str]] | None = None,
        links: Sequence[Sequence[int]] | None = None,
    ) -> None:
        """Append a record batch of piece ids, with the texts and the links if the file keeps them."""
        self.write_batch(record_batch(sources, targets, texts, links))

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Append what `record_batch` made."""
        self._writer.write_batch(batch)
        self.pairs += len(batch)

    def __enter__(self) -> "DatasetWriter":
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.close()
        self._file.close()


def batches_of(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of a file that `DatasetWriter` wrote."""
    with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as file:
        for index in range(file.num_record_batches):
            yield file.get_batch(index)


def record_batch(
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    texts: tuple[list[str], list[str]] | None,
    links: Sequence[Sequence[int]] | None = None,
) -> pa.RecordBatch:
    """Make a record batch for `DatasetWriter.write_batch` of piece ids, and of what else the file keeps.

    `links` are the source and the target piece of each link of a pair by turns.
    """
    columns: list[Any] = [_list_array(sources), _list_array(targets)]
    if texts is not None:
        columns += [pa.array(side, pa.large_string()) for side in texts]
    if links is not None:
        columns.append(_list_array(links))
    return pa.record_batch(columns, schema=_schema(texts is not None, links is not None))


def _list_array(sequences: Iterable[Sequence[int]]) -> pa.ListArray:
    rows = list(sequences)
    offsets = np.zeros(len(rows) + 1, dtype=np.int32)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    values = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(offsets[-1]))
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))
