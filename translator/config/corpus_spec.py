"""What the settings say about corpora, without opening them: entries, languages, and contradictions."""

import re
from collections.abc import Sequence
from pathlib import Path

from translator.config.sections import Corpora, CorpusEntry, DataSettings

_PATTERN = re.compile(r"^(.*)\{([^{},]+),([^{},]+)\}(.*)$", re.DOTALL)
COMPRESSIONS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "Zstandard"}
"""What may follow the ending of a corpus's name, and the compression that it says."""
_LANGUAGE = re.compile(r"[a-z]{2,3}([-_][A-Za-z]+)*")


def entries_of(corpora: Corpora | None) -> list[CorpusEntry]:
    """Return the corpora of a setting, one or several, as entries; an empty list if it is not set."""
    if corpora is None:
        return []
    if isinstance(corpora, str) or isinstance(corpora[0], str):
        return [CorpusEntry.model_construct(path=corpora)]
    return [entry for entry in corpora if isinstance(entry, CorpusEntry)]


def is_list_of_entries(corpora: Corpora | None) -> bool:
    """Tell whether a setting is written as a list of entries."""
    return isinstance(corpora, list) and isinstance(corpora[0], CorpusEntry)


def split_pattern(path: str) -> tuple[str, str, str, str] | None:
    """Split `corpus/train.{en,de}.gz` into the text before the braces, both languages, and the text after them."""
    match = _PATTERN.match(path)
    return (match[1], match[2], match[3], match[4]) if match else None


def without_compression(name: str) -> str:
    """Return the name of a file without the ending that says its compression."""
    path = Path(name)
    return str(path.with_suffix("")) if path.suffix.lower() in COMPRESSIONS else name


def named_languages(path: str | Sequence[str]) -> tuple[str, str] | None:
    """Return the languages in a pattern or in the endings of two files; None if there are none."""
    if isinstance(path, str):
        parts = split_pattern(path)
        return (parts[1].strip(), parts[2].strip()) if parts else None
    first, second = (Path(without_compression(file)).suffix[1:] for file in path)
    are_languages = all(_LANGUAGE.fullmatch(ending) and ending != "txt" for ending in (first, second))
    return (first, second) if are_languages and first != second else None


def corpus_mistakes(data: DataSettings) -> list[str]:
    """Return a sentence for every contradiction among the settings of corpora."""
    problems = []
    weighted = [entry.weight is not None for entry in entries_of(data.train)]
    if any(weighted) and not all(weighted):
        index = weighted.index(False) + 1
        problems.append(f"data.train: entry {index} has no weight while another has one; give one to all or to none")
    if any(weighted) and data.temperature != 1.0:
        problems.append(
            f"data.temperature: {data.temperature:g} has no effect together with weights; keep one of the two"
        )
    for name in ("train", "valid", "test"):
        for number, entry in enumerate(entries_of(getattr(data, name)), start=1):
            where = f"data.{name}, entry {number}"
            if name != "train" and entry.weight is not None:
                problems.append(f"{where}, weight: only training corpora have one; leave it out")
            problems += [f"{where}, {problem}" for problem in _score_mistakes(entry, name)]
            if name != "train" and entry.alignments is not None:
                problems.append(f"{where}, alignments: only training corpora have them; leave them out")
            if (entry.source_language is None) != (entry.target_language is None):
                missing = "source_language" if entry.source_language is None else "target_language"
                problems.append(f"{where}: {missing} is not set while the other language is; set both or neither")
    if data.alignments is not None and is_list_of_entries(data.train):
        problems.append(
            "data.alignments: data.train is a list of entries; give each entry its own `alignments`, such as "
            f"{{path: CORPUS, alignments: {data.alignments}}}"
        )
    scored = [entry for entry in entries_of(data.train) if entry.scores or entry.score_column]
    if data.min_score is not None and data.train is not None and not scored:
        problems.append(
            "data.min_score: no training corpus has scores; give an entry of data.train `scores` or `score_column`, or "
            "leave data.min_score out"
        )
    return problems


def _score_mistakes(entry: CorpusEntry, name: str) -> list[str]:
    if entry.scores is None and entry.score_column is None:
        return []
    if name != "train":
        return ["scores: only training corpora have them; leave them out"]
    if entry.scores is not None and entry.score_column is not None:
        return ["scores and score_column: keep one of the two"]
    kind = Path(without_compression(entry.path)).suffix.lower() if isinstance(entry.path, str) else ""
    if entry.score_column is not None and kind not in (".tsv", ".csv"):
        return ["score_column: only a .tsv or .csv file has columns with a header line; write the numbers to a file "
                "with one on each line, and name it as `scores`"]  # fmt: skip
    return []
