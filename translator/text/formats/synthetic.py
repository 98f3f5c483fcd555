"""Parallel corpora that `translator synthesize` writes: a directory of tables, and a manifest that says what counts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translator.errors import DataError
from translator.runtime.counted import counted
from translator.runtime.json_files import read_json
from translator.text.corpus import KNOWN_COLUMNS, Corpus, Languages, Pair
from translator.text.corpus_lines import read_lines
from translator.text.languages import same_language

REQUEST = "request.json"
"""What was asked for; it is there before the first table."""
MANIFEST = "manifest.json"
"""What the tables hold; it is there when all of them are."""
ENDING = ".tsv.zst"
_FORMAT = 1
_SHAPE = {
    "format": int,
    "columns": [str],
    "shards": int,
    "rows": int,
    "without_translation": int,
    "chosen_by": (str, None),
    "least": (float, None),
    "kept": int,
}
_REMEDY = "repeat the `translator synthesize` command"
_EMPTY, _LOW = "synthetic pair without a translation", "synthetic pair with too low a score"


@dataclass(frozen=True)
class Manifest:
    """What the tables of a directory hold, and which of their rows are pairs of the corpus."""

    columns: list[str]
    """Their header line: source and target, by language if it is known, then scores."""
    shards: int
    """How many tables there are."""
    rows: int
    without_translation: int
    """Rows whose source or target is blank."""
    chosen_by: str | None
    """The column that rows are chosen by; None if all that have a translation are."""
    least: float | None
    """The lowest value in that column of a row that is chosen."""
    kept: int
    """Rows that are chosen."""

    def as_json(self) -> dict[str, Any]:
        """Return what is written to the file."""
        return {"format": _FORMAT, **vars(self)}


def shard_name(index: int) -> str:
    """Return the name of a table, counted from 0."""
    return f"part-{index:05}{ENDING}"


def is_synthetic(directory: Path) -> bool:
    """Whether a directory is one that `translator synthesize` writes."""
    return (directory / REQUEST).is_file()


def read_manifest(directory: Path) -> Manifest:
    """Read the manifest; raise `DataError` if it is damaged, or not there because the corpus is not complete."""
    try:
        found = read_json(directory / MANIFEST, _SHAPE, DataError, _REMEDY)
    except FileNotFoundError:
        raise DataError(f"the synthetic corpus {directory} is not complete; {_REMEDY}, which continues it") from None
    if found["format"] != _FORMAT or len(found["columns"]) < 2:
        raise DataError(f"{directory / MANIFEST} has another format than this version reads; {_REMEDY}")
    return Manifest(**{name: found[name] for name in _SHAPE if name != "format"})


def open_synthetic(directory: Path, wanted: Languages) -> Corpus:
    """Open such a directory: its rows, in order, without those that have no translation or too low a score.

    Raises `DataError` if it is not complete, or has other languages than the `wanted` ones.
    """
    manifest = read_manifest(directory)
    files = [directory / shard_name(index) for index in range(manifest.shards)]
    if missing := next((file for file in files if not file.is_file()), None):
        raise DataError(f"{missing} is missing; {_REMEDY}, which makes it again")
    columns = (manifest.columns[0], manifest.columns[1])
    order = _order(columns, wanted, directory)
    skipped: dict[str, int] = {}
    revision = f"columns {columns[order[0]]} {columns[order[1]]}, {manifest.chosen_by} from {manifest.least}"

    def pairs() -> Iterator[Pair]:
        counts: dict[str, int] = {}
        for file in files:
            for cells in read_rows(file, manifest.columns):
                reason = _reason_to_skip(cells, manifest)
                if reason is None:
                    yield cells[order[0]], cells[order[1]]
                else:
                    counts[reason] = counts.get(reason, 0) + 1
        # Only a reading to the end tells of all.
        skipped.update(counts)

    languages: Languages = (columns[order[0]], columns[order[1]]) if wanted == (None, None) else wanted
    return Corpus(str(directory), files, languages, pairs, revision, skipped)


def read_rows(file: Path, columns: list[str]) -> Iterator[list[str]]:
    """Yield the rows of a table as cells; raise `DataError` if it is damaged or has other columns."""
    remedy = f"remove the file, and {_REMEDY}, which makes it again"
    try:
        rows = (line.split("\t") for line in read_lines(file))
        if (header := next(rows, [])) != columns:
            raise DataError(f"{file}: found the columns {', '.join(header)}, expected {', '.join(columns)}")
        for number, cells in enumerate(rows, start=2):
            if len(cells) != len(columns):
                raise DataError(
                    f"{file}, line {number:,}: found {counted(len(cells), 'column')}, expected {len(columns)}"
                )
            yield cells
    except DataError as error:
        raise DataError(f"{error}; {remedy}") from None


def _order(columns: tuple[str, str], wanted: Languages, directory: Path) -> tuple[int, int]:
    """Return the indices of source and target among the first two columns."""
    source, target = wanted
    if source is None or target is None or columns in KNOWN_COLUMNS:
        return 0, 1
    for first, second in ((0, 1), (1, 0)):
        if same_language(source, columns[first]) and same_language(target, columns[second]):
            return first, second
    raise DataError(
        f"{directory} is in {columns[0]} and {columns[1]}, expected {source} and {target} "
        "(data.source_language and data.target_language)"
    )


def _reason_to_skip(cells: list[str], manifest: Manifest) -> str | None:
    if not cells[0].strip() or not cells[1].strip():
        return _EMPTY
    if manifest.chosen_by is None or manifest.least is None:
        return None
    score = cells[manifest.columns.index(manifest.chosen_by)]
    return None if score and float(score) >= manifest.least else _LOW
