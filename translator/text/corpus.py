"""Parallel corpora: pairs of sentences out of two text files, a table, JSON lines, Parquet or a hub set."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from translator.errors import DataError
from translator.text.scores import Scores
from translator.text.word_links import AlignmentFile

Pair = tuple[str, str]
Languages = tuple[str | None, str | None]

KNOWN_COLUMNS = (("source", "target"), ("src", "tgt"), ("src", "trg"))
"""Column names of the two sides that are not language codes."""


@dataclass(frozen=True)
class Corpus:
    """Pairs of sentences that can be read repeatedly, in bounded host memory."""

    name: str
    """What messages call it."""
    files: list[Path]
    """Its files, source first; empty for a hub set."""
    languages: Languages
    """Language codes or column names; None if unknown."""
    read: Callable[[], Iterator[Pair]]
    """Start reading at the beginning of the corpus."""
    revision: str = ""
    """Identifies the content of a corpus without files, and how one with files is read."""
    skipped: dict[str, int] = field(default_factory=dict)
    """What the last reading to the end passed over because it is no pair, such as blank lines of a table; counts."""
    scores: Scores | None = None
    """How good another tool found each pair, if that counts."""
    alignments: AlignmentFile | None = None
    """The word links of each pair, if they are known."""

    def pairs(self) -> Iterator[Pair]:
        """Yield (source, target); raise `DataError` with file and line for damaged input.

        A line feed inside a field of a table becomes a space, because a segment is one line everywhere else.
        """
        return self.read()

    def fingerprint(self) -> str:
        """Hash the content (hex SHA-256): the bytes of the files, and which columns are read from them."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(hash_file(file).encode())
        columns = self.languages if len(self.files) == 1 else None
        digest.update(json.dumps([self.revision, columns]).encode())
        if self.scores is not None:
            digest.update(self.scores.fingerprint().encode())
        if self.alignments is not None:
            digest.update(hash_file(self.alignments.path).encode())
        return digest.hexdigest()


def hash_file(file: Path) -> str:
    """Return the hex SHA-256 of a file; raise `DataError` if it cannot be read."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from None


def flat_record(record: dict[str, Any]) -> dict[str, Any]:
    """Return the record, or its field `translation`, in which sets on the hub keep both sides."""
    inner = record.get("translation")
    return inner if isinstance(inner, dict) else record


def record_pair(record: dict[str, Any], columns: Languages, where: str) -> Pair:
    """Return both sides of a record; null becomes an empty side."""
    fields = flat_record(record)
    sides = []
    for column in columns:
        if column not in fields:
            raise DataError(f"{where}: there is no field `{column}`; found {quoted_names(list(fields))}")
        value = fields[column]
        if value is not None and not isinstance(value, str):
            raise DataError(f"{where}: `{column}` is {type(value).__name__}, expected text")
        sides.append(one_line(_without_surrogates(value or "", where)))
    return sides[0], sides[1]


def choose_columns(names: list[str], wanted: Languages, where: str) -> tuple[str, str]:
    """Decide which two columns are source and target; raise `DataError` if that is ambiguous."""
    if wanted[0] is not None and wanted[1] is not None:
        for name in (wanted[0], wanted[1]):
            if name not in names:
                raise DataError(
                    f"{where}: there is no column `{name}`; found {quoted_names(names)}. Set data.source_language "
                    "and data.target_language to two of them"
                )
        return wanted[0], wanted[1]
    for pair in KNOWN_COLUMNS:
        if pair[0] in names and pair[1] in names:
            return pair
    if len(names) == 2:
        return names[0], names[1]
    raise DataError(
        f"{where}: cannot tell source from target among the columns {quoted_names(names)}; set data.source_language "
        "and data.target_language to two of them"
    )


def one_line(text: str) -> str:
    """Replace every line feed with a space."""
    return text.replace("\r\n", " ").replace("\n", " ") if "\n" in text else text


def _without_surrogates(text: str, where: str) -> str:
    # JSON can escape half a surrogate pair, which no UTF-8 text can contain.
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: character {error.start + 1:,} is half of a surrogate pair, not text") from None
    return text


def quoted_names(names: list[str]) -> str:
    shown = ", ".join(f"`{name[:40]}`" for name in names[:12])
    return (shown + (", ..." if len(names) > 12 else "")) or "none"
