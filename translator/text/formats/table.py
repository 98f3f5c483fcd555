"""Parallel corpora in tables of text: TSV and CSV with any separator, with or without quotes and a header line."""

import contextlib
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from translator.config.corpus_spec import without_compression
from translator.errors import DataError
from translator.runtime.console import say
from translator.text.corpus import KNOWN_COLUMNS, Corpus, Languages, Pair, one_line, quoted_names
from translator.text.corpus_lines import MAX_LINE_BYTES, read_lines
from translator.text.languages import language_code, same_language

_SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_NAMES = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "\\t": "\t"}
_SAMPLE_LINES = 20
_BLANK = "blank line of a table"

Row = tuple[int, list[str]]
"""The cells of a row, and the number of its first line."""

# The module refuses fields of more than 131,072 characters by itself; lines have a limit of their own.
csv.field_size_limit(MAX_LINE_BYTES)


@dataclass(frozen=True)
class TableLayout:
    """What the settings say about tables; None if the file tells it."""

    separator: str | None = None
    """A character, or its name: `tab`, `comma`, `semicolon`, `pipe`."""
    quotes: bool | None = None
    """Whether fields may be enclosed in `"`."""
    header: bool | None = None
    """Whether the first line names the columns."""

    def revision(self) -> str:
        """Return what identifies the layout in a fingerprint; nothing if it is the default one."""
        return "" if self == TableLayout() else f"{self.separator!r} {self.quotes} {self.header}"


def open_table(file: Path, kind: str, wanted: Languages, layout: TableLayout) -> Corpus:
    """Open a table; without a header line, its first two columns are source and target.

    `kind` is `.tsv` or `.csv`. Raises `DataError` if a column is missing; reading raises it, with the number of the
    line, for a row of another width than the first.
    """
    separator = _SEPARATOR_NAMES.get(layout.separator or "", layout.separator)
    quotes = kind == ".csv" if layout.quotes is None else layout.quotes
    if separator is None:
        separator = "\t" if kind == ".tsv" else _find_separator(file)
    skipped: dict[str, int] = {}
    first_line, header = next(_rows(file, separator, quotes, {}), (0, []))
    names = [cell.strip() for cell in header]
    columns = None if layout.header is False else _find_columns(names, wanted, f"{file}, line {first_line}")
    has_header = layout.header if layout.header is not None else columns is not None
    if has_header and layout.header is None and columns is not None and columns.by_language:
        say(f"{file}: line {first_line} ({', '.join(names)}) is taken for a header line, not for text (data.header)")
    if header and len(header) < 2:
        raise DataError(
            f"{file}, line {first_line}: found 1 column, expected at least 2, separated by {_shown(separator)}; set "
            "data.separator if it is another character"
        )

    def pairs() -> Iterator[Pair]:
        rows = _rows(file, separator, quotes, skipped)
        if has_header:
            next(rows, None)
        source, target = columns.indices if columns is not None else (0, 1)
        for number, cells in rows:
            if len(cells) != len(header):
                raise DataError(
                    f"{file}, line {number:,}: found {len(cells)} column{'s' * (len(cells) != 1)}, expected "
                    f"{len(header)}, as in line {first_line}; columns are separated by {_shown(separator)}"
                    + _hint(kind, quotes)
                )
            yield one_line(cells[source]), one_line(cells[target])

    languages = wanted if wanted != (None, None) else columns.languages if columns is not None else (None, None)
    return Corpus(str(file), [file], languages, pairs, revision=layout.revision(), skipped=skipped)


def read_column(file: Path, name: str, layout: TableLayout) -> Iterator[str]:
    """Yield the cells of a column of a table, by its name in the header line; raise `DataError` if there is none."""
    kind = Path(without_compression(file.name)).suffix.lower()
    quotes = kind == ".csv" if layout.quotes is None else layout.quotes
    separator = _SEPARATOR_NAMES.get(layout.separator or "", layout.separator)
    if separator is None:
        separator = "\t" if kind == ".tsv" else _find_separator(file)
    rows = _rows(file, separator, quotes, {})
    line, header = next(rows, (1, []))
    names = [cell.strip() for cell in header]
    if name not in names:
        raise DataError(
            f"{file}, line {line}: the header line has no column `{name}` (score_column); found {quoted_names(names)}"
        )
    index = names.index(name)
    # Reading the pairs reports rows of another width.
    yield from (cells[index] if index < len(cells) else "" for _, cells in rows)


@dataclass(frozen=True)
class _Columns:
    indices: tuple[int, int]
    languages: Languages
    by_language: bool = False
    """Whether they were found by names of languages, which could be text."""


def _find_columns(names: list[str], wanted: Languages, where: str) -> _Columns | None:
    """Find source and target among the cells of a first line; None if it is no header line."""
    folded = [name.casefold() for name in names]
    if wanted[0] is not None and wanted[1] is not None:
        if wanted[0] in names and wanted[1] in names:
            return _Columns((names.index(wanted[0]), names.index(wanted[1])), wanted)
        found = [_index_of_language(names, str(side)) for side in wanted]
        if found[0] is not None and found[1] is not None and found[0] != found[1]:
            return _Columns((found[0], found[1]), wanted, by_language=True)
        present = next((side for side in wanted if side in names), None)
        if present is not None:
            missing = wanted[1] if present == wanted[0] else wanted[0]
            raise DataError(f"{where}: the header line has no column `{missing}`; found {quoted_names(names)}")
    for pair in KNOWN_COLUMNS:
        if pair[0] in folded and pair[1] in folded:
            languages = pair if wanted == (None, None) else wanted
            return _Columns((folded.index(pair[0]), folded.index(pair[1])), languages)
    codes = {index: code for index, name in enumerate(names) if (code := language_code(name)) is not None}
    if len(codes) > 2:  # A column of numbers is called `id`, which is also Indonesian.
        codes = {index: code for index, code in codes.items() if folded[index] != "id"}
    if wanted == (None, None) and len(codes) == 2 and len(set(codes.values())) == 2:
        first, second = codes
        return _Columns((first, second), (codes[first], codes[second]), by_language=True)
    return None


def _index_of_language(names: list[str], wanted: str) -> int | None:
    return next(
        (index for index, name in enumerate(names) if language_code(name) and same_language(wanted, name)), None
    )


def _rows(file: Path, separator: str, quotes: bool, skipped: dict[str, int]) -> Iterator[Row]:
    """Yield the rows of a table without blank lines; say in `skipped` how many of those there were."""
    rows = _quoted_rows(file, separator) if quotes else _plain_rows(file, separator)
    blank = 0
    for number, cells in rows:
        if len(cells) <= 1 and not "".join(cells).strip():
            blank += 1
        elif number > 1 or not _names_separator(separator.join(cells)):
            yield number, cells
    if blank:
        skipped[_BLANK] = blank


def _plain_rows(file: Path, separator: str) -> Iterator[Row]:
    for number, line in enumerate(read_lines(file), start=1):
        yield number, line.removesuffix("\r").split(separator)


def _quoted_rows(file: Path, separator: str) -> Iterator[Row]:
    rows = csv.reader((line + "\n" for line in read_lines(file)), delimiter=separator, strict=True)
    number = 1
    try:
        for row in rows:
            yield number, row
            number = rows.line_num + 1
    except csv.Error as error:
        raise DataError(
            f'{file}, line {number:,}: not valid CSV ({error}); quote fields with "...", or set data.quotes=false if '
            "quotation marks are text"
        ) from None


def _find_separator(file: Path) -> str:
    """Choose the separator of a CSV file by its first lines: one that gives them as many columns."""
    lines: list[str] = []
    for line in read_lines(file):
        if not lines and _names_separator(line):
            return line[4]
        if line.strip():
            lines.append(line + "\n")
        if len(lines) == _SAMPLE_LINES:
            break

    def agreement(separator: str) -> tuple[bool, int]:
        """Whether the first line has several columns, and how many lines have as many."""
        widths: list[int] = []
        with contextlib.suppress(csv.Error):
            widths.extend(len(row) for row in csv.reader(lines, delimiter=separator))
        return bool(widths) and widths[0] > 1, widths.count(widths[0]) if widths else 0

    return max(_SEPARATORS, key=agreement)


def _names_separator(line: str) -> bool:
    """Whether a first line says what the separator is, as Excel writes it: `sep=;`."""
    return line[:4].lower() == "sep=" and len(line.rstrip("\r")) == 5


def _shown(separator: str) -> str:
    return {"\t": "tabs", " ": "spaces"}.get(separator, f"`{separator}`")


def _hint(kind: str, quotes: bool) -> str:
    if kind == ".tsv" and not quotes:
        return "; set data.quotes=true if fields are enclosed in quotation marks"
    return "" if kind == ".tsv" else "; enclose a field that contains the separator in quotation marks"
