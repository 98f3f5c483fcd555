"""Prepared sentence pairs: one Arrow file or several as one list of pairs, gathered into batches."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from translator.data.arrow_file import ArrowFile
from translator.errors import DataError

_DIGEST_PAIRS = 1 << 16


class Gathered(NamedTuple):
    """Pieces of N sentence pairs, one after another; sentence n is `tokens[offsets[n]:offsets[n + 1]]`."""

    source_tokens: np.ndarray  # [S] int32
    source_offsets: np.ndarray  # [N + 1] int64
    target_tokens: np.ndarray  # [T] int32
    target_offsets: np.ndarray  # [N + 1] int64


class ParallelDataset:
    """Pairs of piece-id sequences without EOS, and their text if it was kept; out of one file or several.

    Pieces, text and where they are is mapped from the files. Lengths take 8 bytes of host memory a pair once they are
    asked for.
    """

    def __init__(self, files: Sequence[ArrowFile]) -> None:
        """For `open`."""
        self._files = list(files)
        self._first = np.cumsum([0, *(file.pairs for file in files)], dtype=np.int64)  # [files + 1]

    @classmethod
    def open(cls, path: str | Path | Sequence[Path]) -> "ParallelDataset":
        """Map the file, or the files one after another, that `DatasetWriter` wrote.

        Raises `DataError` if one is missing or damaged.
        """
        paths = [Path(path)] if isinstance(path, str | Path) else path
        return cls([ArrowFile(each) for each in paths])

    def __len__(self) -> int:
        return int(self._first[-1])

    @property
    def path(self) -> Path:
        """The first file, for messages."""
        return self._files[0].path

    @cached_property
    def source_lengths(self) -> np.ndarray:
        """Pieces of every source sentence, int32 [N], EOS not counted."""
        return np.concatenate([file.lengths("source") for file in self._files])

    @cached_property
    def target_lengths(self) -> np.ndarray:
        """Pieces of every target sentence, int32 [N], EOS not counted."""
        return np.concatenate([file.lengths("target") for file in self._files])

    @property
    def tokens(self) -> int:
        """Pieces of all sentences, source and target together, EOS not counted."""
        return int(self.source_lengths.sum(dtype=np.int64) + self.target_lengths.sum(dtype=np.int64))

    @property
    def has_text(self) -> bool:
        """Whether the files keep the text, for `text` and `texts`."""
        return all(file.has_text for file in self._files)

    def digest(self) -> str:
        """Hash the pieces of all pairs in order (hex SHA-256), whatever the layout of the files and with what text."""
        digest = sha256()
        for start in range(0, len(self), _DIGEST_PAIRS):
            pairs = self.gather(np.arange(start, min(start + _DIGEST_PAIRS, len(self))))
            for values in pairs:
                digest.update(values.tobytes())
        return digest.hexdigest()

    def source(self, index: int) -> np.ndarray:
        """Return the pieces of a source sentence, a read-only int32 view of the file."""
        return self._view("source", index)

    def target(self, index: int) -> np.ndarray:
        """Return the pieces of a target sentence, a read-only int32 view of the file."""
        return self._view("target", index)

    def text(self, index: int) -> tuple[str, str]:
        """Return source and target as they were written; raise `DataError` if text was not kept."""
        (source,), (target,) = self.texts(np.array([self._checked(index)]))
        return source, target

    def texts(self, indices: np.ndarray) -> tuple[list[str], list[str]]:
        """Return the sources and the targets of the pairs at `indices` (int [N], any order, with repeats), as `text`.

        Raises `DataError` if text was not kept.
        """
        chosen = self._checked_all(indices)
        if (bare := next((file for file in self._files if not file.has_text), None)) is not None:
            raise DataError(f"{bare.path} holds pieces without their text")
        sides = [""] * len(chosen), [""] * len(chosen)
        for file, rows, inside in self._rows_by_file(chosen):
            # Arrow's `take` joins all chunks of a column of text first, which copies the whole corpus.
            data = memoryview(file.buffer)
            for side, name in zip(sides, ("source_text", "target_text"), strict=True):
                starts, sizes = file.locate(name, inside)
                for row, start, size in zip(rows.tolist(), starts.tolist(), sizes.tolist(), strict=True):
                    side[row] = str(data[start : start + size], "utf-8")
        return sides

    def gather(self, indices: np.ndarray) -> Gathered:
        """Copy the pieces of the pairs at `indices` (int [N], any order, with repeats) into flat arrays."""
        chosen = self._checked_all(indices)
        return Gathered(*self._gather("source", chosen), *self._gather("target", chosen))

    def gather_linked(self, indices: np.ndarray) -> tuple[Gathered, np.ndarray]:
        """Return what `gather` and `links` do."""
        return self.gather(indices), self.links(indices)

    def links(self, indices: np.ndarray) -> np.ndarray:
        """Return the links between the pieces of the pairs at `indices`, int64 [R, 3]: pair, source and target piece.

        The pair is its index in `indices`, and rises; pieces are counted from the start of their sentence. Pairs of
        files without links have none.
        """
        chosen = self._checked_all(indices)
        parts = [np.zeros((0, 3), dtype=np.int64)]
        for file, rows, inside in self._rows_by_file(chosen):
            if not file.has_links:
                continue
            starts, sizes = file.locate("links", inside)
            ends = np.cumsum(sizes)
            positions = np.repeat(starts - ends + sizes, sizes) + np.arange(sizes.sum())
            pieces = file.words[positions].reshape(-1, 2).astype(np.int64)
            parts.append(np.column_stack([np.repeat(rows, sizes // 2), pieces]))
        joined = np.concatenate(parts)
        return joined[np.argsort(joined[:, 0], kind="stable")]

    def _gather(self, name: str, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = list(self._rows_by_file(chosen))
        starts, lengths = np.zeros((2, len(chosen)), dtype=np.int64)
        for file, rows, inside in parts:
            starts[rows], lengths[rows] = file.locate(name, inside)
        offsets = np.zeros(len(chosen) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        positions = np.repeat(starts - offsets[:-1], lengths)
        positions += np.arange(offsets[-1], dtype=np.int64)
        if len(parts) == 1:
            return parts[0][0].words[positions], offsets
        tokens = np.empty(len(positions), dtype=np.int32)
        for file, rows, _ in parts:
            among = np.zeros(len(chosen), dtype=bool)
            among[rows] = True
            own = np.repeat(among, lengths)
            tokens[own] = file.words[positions[own]]
        return tokens, offsets

    def _rows_by_file(self, chosen: np.ndarray) -> Iterator[tuple[ArrowFile, np.ndarray, np.ndarray]]:
        """Yield the files that have some of the chosen pairs, the rows of `chosen`, and the pairs' indices there."""
        if len(self._files) == 1:
            yield self._files[0], np.arange(len(chosen)), chosen
            return
        which = np.searchsorted(self._first, chosen, side="right") - 1
        for index in np.unique(which).tolist():
            rows = np.flatnonzero(which == index)
            yield self._files[index], rows, chosen[rows] - self._first[index]

    def _view(self, name: str, index: int) -> np.ndarray:
        chosen = np.array([self._checked(index)])
        ((file, _, inside),) = self._rows_by_file(chosen)
        (start,), (length,) = file.locate(name, inside)
        return file.words[start : start + length]

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
