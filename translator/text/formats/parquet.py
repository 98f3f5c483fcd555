"""Parallel corpora in Parquet files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from translator.errors import DataError
from translator.text.corpus import Corpus, Languages, Pair, choose_columns, record_pair

_BATCH_ROWS = 4096


def open_parquet(file: Path, wanted: Languages) -> Corpus:
    """Open a Parquet file with two text columns, or a struct `translation` of two."""
    import pyarrow
    from pyarrow import parquet

    def opened() -> Any:
        try:
            return parquet.ParquetFile(file)
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{file}: not a readable Parquet file ({_first_line(error)})") from None

    schema = opened().schema_arrow
    nested = "translation" in schema.names and pyarrow.types.is_struct(schema.field("translation").type)
    names = [field.name for field in schema.field("translation").type] if nested else schema.names
    columns = choose_columns(names, wanted, str(file))

    def pairs() -> Iterator[Pair]:
        row = 0
        try:
            for batch in opened().iter_batches(_BATCH_ROWS, columns=["translation"] if nested else list(columns)):
                for record in batch.to_pylist():
                    row += 1
                    yield record_pair(record, columns, f"{file}, row {row:,}")
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(f"{file}, after row {row:,}: damaged Parquet data ({_first_line(error)})") from None

    return Corpus(str(file), [file], columns, pairs)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
