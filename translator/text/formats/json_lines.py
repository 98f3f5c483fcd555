"""Parallel corpora in JSON lines: an object for each pair."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from translator.errors import DataError
from translator.text.corpus import Corpus, Languages, Pair, choose_columns, flat_record, record_pair
from translator.text.corpus_lines import read_lines

_BLANK = "blank line of JSON lines"


def open_json_lines(file: Path, wanted: Languages) -> Corpus:
    """Open a file with one object a line, whose two fields, or a field `translation` with both, are the sides."""
    skipped: dict[str, int] = {}
    first = next(_records(file, {}), None)
    columns = choose_columns(list(flat_record(first[1])), wanted, f"{file}, line {first[0]}") if first else wanted

    def pairs() -> Iterator[Pair]:
        for number, record in _records(file, skipped):
            yield record_pair(record, columns, f"{file}, line {number:,}")

    return Corpus(str(file), [file], columns, pairs, skipped=skipped)


def _records(file: Path, skipped: dict[str, int]) -> Iterator[tuple[int, dict[str, Any]]]:
    blank = 0
    for number, line in enumerate(read_lines(file), start=1):
        if not line.strip():
            blank += 1
            continue
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
    if blank:
        skipped[_BLANK] = blank
