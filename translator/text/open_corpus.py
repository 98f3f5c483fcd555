"""Open a parallel corpus by its name: two text files, a table, JSON lines, Parquet or a set on the hub."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from translator.config import named_languages
from translator.config.corpus_spec import split_pattern, without_compression
from translator.errors import DataError
from translator.text.corpus import (
    KNOWN_COLUMNS,
    Corpus,
    Languages,
    Pair,
    choose_columns,
    flat_record,
    one_line,
    quoted_names,
    record_pair,
)
from translator.text.corpus_lines import read_lines
from translator.text.line_shift import first_shifted_line

_TABLES = (".tsv", ".csv", ".jsonl", ".parquet")
_EXPECTED = (
    "expected a pattern such as train.{en,de}, a list of two files, one .tsv, .csv, .jsonl or .parquet file, "
    "or hub:NAME[:SPLIT]"
)


def is_corpus(spec: str) -> bool:
    """Return whether `spec` alone names both sides of a corpus, rather than a file of plain text."""
    return bool(spec.startswith("hub:") or split_pattern(spec) or _table_kind(Path(spec)) in _TABLES)


def open_corpus(
    spec: str | Sequence[str],
    source_language: str | None = None,
    target_language: str | None = None,
    default_split: str = "train",
) -> Corpus:
    """Open a corpus as the settings `data.train`, `data.valid` and `data.test` name it (see `DataSettings`).

    Raises `DataError` if a file or a column is missing; the rest of the content is not read yet. Two files whose
    extensions are the given languages in the opposite order are swapped.
    """
    wanted = (source_language, target_language)
    if (source_language is None) != (target_language is None):
        missing = "target_language" if target_language is None else "source_language"
        raise DataError(f"data.{missing} is not set while the other language is; set both or neither")
    if source_language is not None and source_language == target_language:
        raise DataError(f"data.source_language and data.target_language are both {source_language}")
    if not isinstance(spec, str):
        return _open_text_pair([Path(part) for part in spec], wanted)
    if spec.startswith("hub:"):
        from translator.text.hub import open_hub_set

        return open_hub_set(spec.removeprefix("hub:"), wanted, default_split)
    if parts := split_pattern(spec):
        before, first, second, after = parts
        return _open_text_pair([Path(before + first + after), Path(before + second + after)], wanted, (first, second))
    return _open_table(Path(spec), wanted)


def _open_text_pair(files: list[Path], wanted: Languages, found: Languages = (None, None)) -> Corpus:
    for file in files:
        _require_file(file)
    if files[0].resolve() == files[1].resolve():
        raise DataError(f"both sides of the corpus are the same file, {files[0]}; expected two files")
    if found == (None, None):
        found = named_languages([str(file) for file in files]) or found
    if wanted != (None, None) and found == wanted[::-1]:
        files = files[::-1]
    languages = found if wanted == (None, None) else wanted
    name = f"{files[0]} and {files[1].name}"
    return Corpus(name, files, languages, lambda: _read_text_pair(files[0], files[1]))


def _read_text_pair(source: Path, target: Path) -> Iterator[Pair]:
    for left, right in zip_longest(read_lines(source), read_lines(target)):
        if left is None or right is None:
            break
        yield left, right
    else:
        return
    counts = [sum(1 for _ in read_lines(file)) for file in (source, target)]
    shifted = first_shifted_line(read_lines(source), read_lines(target))
    where = f"; line {shifted:,} is the first that looks shifted" if shifted else ""
    raise DataError(
        f"corpus {source} has {counts[0]:,} lines but {target} has {counts[1]:,}{where}. "
        "Line i of both files must belong together; only a line feed ends a line"
    )


def _require_file(file: Path) -> None:
    if not file.exists():
        raise DataError(f"there is no file {file}; {_EXPECTED}")
    if not file.is_file():
        raise DataError(f"{file} is not a file; {_EXPECTED}")


def _table_kind(file: Path) -> str:
    return Path(without_compression(file.name)).suffix.lower()


def _open_table(file: Path, wanted: Languages) -> Corpus:
    kind = _table_kind(file)
    if kind not in _TABLES or (kind == ".parquet" and file.suffix.lower() != kind):
        raise DataError(f"cannot tell what kind of corpus {file} is; {_EXPECTED}")
    _require_file(file)
    if kind == ".parquet":
        from translator.text.parquet import open_parquet

        return open_parquet(file, wanted)
    if kind == ".jsonl":
        return _open_records(file, wanted)
    return _open_rows(file, wanted, _read_tsv if kind == ".tsv" else _read_csv)


def _open_rows(file: Path, wanted: Languages, read: Callable[[Path], Iterator[tuple[int, list[str]]]]) -> Corpus:
    """Open a table with or without a header line; without one, the first two columns are source and target."""
    _, header = next(read(file), (0, []))
    names = [cell.strip() for cell in header]
    candidates = [wanted] if wanted != (None, None) else list(KNOWN_COLUMNS)
    columns = next((pair for pair in candidates if all(name in names for name in pair)), None)
    present = [name for name in wanted if name in names]
    if columns is None and present:
        missing = wanted[1] if present[0] == wanted[0] else wanted[0]
        raise DataError(f"{file}, line 1: the header line has no column `{missing}`; found {quoted_names(names)}")
    indices = (0, 1) if columns is None else (names.index(str(columns[0])), names.index(str(columns[1])))

    def pairs() -> Iterator[Pair]:
        rows = read(file)
        if columns is not None:
            next(rows)
        for number, cells in rows:
            if len(cells) <= max(indices):
                raise DataError(
                    f"{file}, line {number:,}: found {len(cells)} column{'s' * (len(cells) != 1)}, expected "
                    f"at least {max(indices) + 1}"
                )
            yield one_line(cells[indices[0]]), one_line(cells[indices[1]])

    languages = wanted if wanted != (None, None) else columns or (None, None)
    return Corpus(str(file), [file], languages, pairs)


def _read_tsv(file: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(read_lines(file), start=1):
        yield number, line.split("\t")


def _read_csv(file: Path) -> Iterator[tuple[int, list[str]]]:
    rows = csv.reader((line + "\n" for line in read_lines(file)), strict=True)
    number = 1
    try:
        for row in rows:
            if row:
                yield number, row
            number = rows.line_num + 1
    except csv.Error as error:
        raise DataError(f'{file}, line {number:,}: not valid CSV ({error}); quote fields with "..."') from None


def _open_records(file: Path, wanted: Languages) -> Corpus:
    first = next(_read_records(file), None)
    where = f"{file}, line 1"
    columns = choose_columns(list(flat_record(first[1])), wanted, where) if first else wanted

    def pairs() -> Iterator[Pair]:
        for number, record in _read_records(file):
            yield record_pair(record, columns, f"{file}, line {number:,}")

    return Corpus(str(file), [file], columns, pairs)


def _read_records(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(read_lines(file), start=1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{file}, line {number:,}: not valid JSON ({error.msg} at character {error.pos + 1}); "
                "expected one object a line"
            ) from None
        except (RecursionError, ValueError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise DataError(f"{file}, line {number:,}: JSON that cannot be read ({reason})") from None
        if not isinstance(record, dict):
            raise DataError(f"{file}, line {number:,}: found {type(record).__name__}, expected an object")
        yield number, record
