"""Test sets: a source file with its references, one of sacreBLEU's named test sets, or given translations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from translator.errors import EvaluationError
from translator.runtime.counted import counted
from translator.text import hash_file, read_lines
from translator.text.line_shift import describe_shift


@dataclass(frozen=True)
class TestSet:
    """Source lines, with one or more references for each."""

    __test__ = False  # tells pytest that this is not a class of tests

    name: str
    sources: list[str]
    references: list[list[str]]
    """One list for each set of references."""
    files: dict[str, str | None]
    """The SHA-256 of every file, by name; None for a pipe."""


@dataclass(frozen=True)
class Translations:
    """Translations of any origin, with one or more references for each."""

    name: str
    hypotheses: list[str]
    references: list[list[str]]
    sources: list[str] | None


def open_translations(hypothesis: Path, references: Sequence[Path], source: Path | None = None) -> Translations:
    """Read a file of translations, its references and, if it is known, its source.

    Raises `DataError` if text is damaged, and `EvaluationError` if the numbers of lines differ.
    """
    both = _read(hypothesis.name, hypothesis, [*references, *([source] if source is not None else [])])
    sources = both.references.pop() if source is not None else None
    return Translations(both.name, both.sources, both.references, sources)


def open_test_set(source: Path, references: Sequence[Path]) -> TestSet:
    """Read a source file and its references, plain or compressed.

    Raises `DataError` if text is damaged, and `EvaluationError` if the numbers of lines differ.
    """
    return _read(source.name, source, references)


def named_test_set(name: str, language_pair: str) -> TestSet:
    """Read one of sacreBLEU's test sets, such as wmt14 and en-de; downloads it on first use.

    Raises `EvaluationError` if the name or pair is unknown, or if it cannot be downloaded.
    """
    from sacrebleu.dataset import DATASETS
    from sacrebleu.utils import get_reference_files, get_source_file

    if name not in DATASETS:
        raise EvaluationError(f"sacreBLEU has no test set {name!r}; `sacrebleu --list` shows them, such as wmt14")
    pairs = sorted(DATASETS[name].langpairs)
    if language_pair not in pairs:
        raise EvaluationError(
            f"the test set {name} has no language pair {language_pair!r}; expected one of {', '.join(pairs)}"
        )
    try:
        source = get_source_file(name, language_pair)
        references = get_reference_files(name, language_pair)
    except (OSError, SystemExit) as error:
        raise EvaluationError(
            f"the test set {name} {language_pair} cannot be downloaded ({error}); connect to the network "
            "once, or give the files with --source and --reference"
        ) from None
    return _read(f"{name} {language_pair}", Path(source), [Path(reference) for reference in references])


def _read(name: str, source: Path, references: Sequence[Path]) -> TestSet:
    sources = list(read_lines(source))
    streams = [list(read_lines(reference)) for reference in references]
    for reference, stream in zip(references, streams, strict=True):
        if len(stream) != len(sources):
            raise EvaluationError(
                f"{source} has {counted(len(sources), 'line')} but {reference} has {len(stream):,}; expected the same "
                f"number{describe_shift(sources, stream)}"
            )
    if not sources:
        raise EvaluationError(f"{source} is empty; expected at least one line to score")
    # A pipe has already been read, so it cannot be hashed.
    files = {str(file): hash_file(file) if file.is_file() else None for file in (source, *references)}
    return TestSet(name, sources, streams, files)
