"""Open a parallel corpus by its name, which tells its format: two text files, one file with both sides, a hub set."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from translator.config import named_languages
from translator.config.corpus_spec import split_pattern, without_compression
from translator.errors import DataError
from translator.text.corpus import Corpus, Languages, Pair
from translator.text.corpus_lines import read_lines
from translator.text.formats.archive import open_archive
from translator.text.formats.json_lines import open_json_lines
from translator.text.formats.synthetic import is_synthetic, open_synthetic
from translator.text.formats.table import TableLayout, open_table
from translator.text.formats.text_pair import read_text_pair
from translator.text.formats.tmx import open_tmx
from translator.text.formats.xliff import open_xliff

_Open = Callable[[Path, Languages, TableLayout], Corpus]


def _open_parquet(file: Path, wanted: Languages, layout: TableLayout) -> Corpus:
    from translator.text.formats.parquet import open_parquet

    return open_parquet(file, wanted)


_FORMATS: dict[str, _Open] = {
    ".tsv": lambda file, wanted, layout: open_table(file, ".tsv", wanted, layout),
    ".csv": lambda file, wanted, layout: open_table(file, ".csv", wanted, layout),
    ".jsonl": lambda file, wanted, layout: open_json_lines(file, wanted),
    ".parquet": _open_parquet,
    ".tmx": lambda file, wanted, layout: open_tmx(file, wanted),
    ".xlf": lambda file, wanted, layout: open_xliff(file, wanted),
    ".xliff": lambda file, wanted, layout: open_xliff(file, wanted),
    ".zip": lambda file, wanted, layout: open_archive(file, wanted),
}
"""How a file with both sides is opened, by the ending of its name."""
_PACKED_BY_THEMSELVES = (".parquet", ".zip")
_EXPECTED = (
    "expected a pattern such as train.{en,de}, a list of two files, one .tsv, .csv, .jsonl, .parquet, .tmx, .xlf or "
    ".zip file, a directory that `translator synthesize` wrote, hub:NAME[:SPLIT] or mtdata:NAME"
)


def is_corpus(spec: str) -> bool:
    """Return whether `spec` alone names both sides of a corpus, rather than a file of plain text."""
    return bool(
        spec.startswith(("hub:", "mtdata:")) or split_pattern(spec) or format_of(spec) or is_synthetic(Path(spec))
    )


def open_corpus(
    spec: str | Sequence[str],
    source_language: str | None = None,
    target_language: str | None = None,
    default_split: str = "train",
    layout: TableLayout = TableLayout(),  # noqa: B008 (it cannot be changed)
) -> Corpus:
    """Open a corpus as the settings `data.train`, `data.valid` and `data.test` name it (see `DataSettings`).

    `layout` says how tables of text are written.

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
        from translator.text.formats.hub import open_hub_set

        return open_hub_set(spec.removeprefix("hub:"), wanted, default_split)
    if spec.startswith("mtdata:"):
        from translator.text.formats.mtdata import open_mtdata_set

        return open_mtdata_set(spec.removeprefix("mtdata:"), wanted)
    if parts := split_pattern(spec):
        before, first, second, after = parts
        return _open_text_pair([Path(before + first + after), Path(before + second + after)], wanted, (first, second))
    return _open_file(Path(spec), wanted, layout)


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
    return Corpus(name, files, languages, lambda: _read_files(files[0], files[1]))


def _read_files(source: Path, target: Path) -> Iterator[Pair]:
    return read_text_pair(lambda: read_lines(source), lambda: read_lines(target), (str(source), str(target)))


def _require_file(file: Path) -> None:
    if not file.exists():
        raise DataError(f"there is no file {file}; {_EXPECTED}")
    if not file.is_file():
        raise DataError(f"{file} is not a file; {_EXPECTED}")


def format_of(spec: str) -> str | None:
    """Return the format of a file with both sides, which is the ending of its name; None for any other name."""
    ending = Path(without_compression(spec)).suffix.lower()
    if ending in _PACKED_BY_THEMSELVES and ending != Path(spec).suffix.lower():
        return None
    return ending if ending in _FORMATS else None


def _open_file(file: Path, wanted: Languages, layout: TableLayout) -> Corpus:
    if is_synthetic(file):
        return open_synthetic(file, wanted)
    kind = format_of(str(file))
    if kind is None:
        raise DataError(f"cannot tell what kind of corpus {file} is; {_EXPECTED}")
    _require_file(file)
    return _FORMATS[kind](file, wanted, layout)
