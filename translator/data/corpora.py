"""The corpora of a run, opened: which there are, and in which direction each is read."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from translator.config import CorpusEntry, DataSettings, entries_of, named_languages
from translator.config.corpus_spec import is_list_of_entries
from translator.data.mixture import apportion
from translator.errors import DataError
from translator.runtime.console import say
from translator.runtime.counted import counted
from translator.text import AlignmentFile, Corpus, hash_file, open_corpus, read_lines
from translator.text.corpus import KNOWN_COLUMNS, Languages
from translator.text.formats.table import TableLayout, read_column
from translator.text.scores import Scores

Corpora = dict[str, list[Corpus]]
"""The corpora of `train`, and of `valid` and `test` if they are set."""

_SPLITS = {"train": "train", "valid": "validation", "test": "test"}
_LANGUAGE = re.compile(r"[A-Za-z0-9_-]+")


def open_corpora(data: DataSettings) -> Corpora:
    """Open all corpora; raise `DataError` if one is missing or the directions contradict each other."""
    if data.train is None:
        raise DataError("data.train is not set; name a training corpus, for example data.train=corpus/train.{en,de}")
    stated = data.source_language, data.target_language
    corpora = {"train": _open_set(data, "train", stated)}
    directions = {corpus.languages for corpus in corpora["train"]}
    default = directions.pop() if len(directions) == 1 else stated
    for name in ("valid", "test"):
        if getattr(data, name) is not None:
            corpora[name] = _open_set(data, name, default)
    if data.language_tags:
        target_languages(corpora)
    else:
        _require_one_target(corpora)
    return corpora


def _open_set(data: DataSettings, name: str, default: Languages) -> list[Corpus]:
    spec = getattr(data, name)
    # Otherwise the languages of `data` say which of the two of a pattern is the source.
    path_decides = data.language_tags or is_list_of_entries(spec)
    layout = TableLayout(data.separator, data.quotes, data.header)
    corpora = []
    for entry in entries_of(spec):
        wanted: Languages = (entry.source_language, entry.target_language)
        if wanted == (None, None) and not (path_decides and named_languages(entry.path)):
            wanted = default
        corpus = open_corpus(entry.path, *wanted, _SPLITS[name], layout)
        if name == "train" and data.min_score is not None:
            corpus = replace(corpus, scores=_scores_of(entry, layout))
            if corpus.scores is None:
                say(f"{corpus.name} has no scores, so data.min_score drops nothing of it")
        if name == "train" and (file := entry.alignments or data.alignments) is not None:
            corpus = replace(corpus, alignments=_alignments_of(corpus, Path(file)))
        corpora.append(corpus)
    return corpora


def _scores_of(entry: CorpusEntry, layout: TableLayout) -> Scores | None:
    if entry.scores is not None:
        file = Path(entry.scores)
        if not file.is_file():
            raise DataError(f"there is no file {file} (scores); expected a number on each line, one for every pair")
        return Scores(str(file), lambda: read_lines(file), lambda: hash_file(file))
    if (column := entry.score_column) is not None:
        table = Path(str(entry.path))
        return Scores(f"{table}, {column}", lambda: read_column(table, column, layout), lambda: f"column {column}")
    return None


def _alignments_of(corpus: Corpus, file: Path) -> AlignmentFile:
    if not file.is_file():
        raise DataError(f"there is no file {file} (alignments); expected word links such as `0-0 1-2` for every pair")
    return AlignmentFile(file, corpus.name)


def target_languages(corpora: Corpora) -> list[str]:
    """The target languages of all corpora, in alphabetical order; raise `DataError` if one is not known."""
    languages = set()
    for corpus in (corpus for part in corpora.values() for corpus in part):
        language = corpus.languages[1]
        if language is None or corpus.languages in KNOWN_COLUMNS:
            raise DataError(
                f"data.language_tags needs the languages of every corpus, but those of {corpus.name} are not known; "
                "set source_language and target_language in its entry"
            )
        if not _LANGUAGE.fullmatch(language):
            raise DataError(
                f"{corpus.name}: {language!r} cannot be a language tag; expected letters, digits, - and _ only"
            )
        languages.add(language)
    return sorted(languages)


def _require_one_target(corpora: Corpora) -> None:
    # Columns of tables may have other names in every file, and all be right.
    named = {
        corpus.languages[1]: corpus.name
        for part in corpora.values()
        for corpus in part
        if len(corpus.files) == 2 and corpus.languages not in (*KNOWN_COLUMNS, (None, None))
    }
    if len(named) > 1:
        listed = "; ".join(f"{language} in {name}" for language, name in named.items())
        raise DataError(
            f"the corpora have several target languages ({listed}); set data.language_tags=true for a model that "
            "translates into all of them, or keep one"
        )


def hold_out(sizes: list[int], data: DataSettings) -> list[int]:
    """Return how many pairs at the end of each training corpus are held out for validation: its share by size."""
    total = sum(sizes)
    if total < 2:
        raise DataError(
            f"the train corpus has {counted(total, 'pair')} and there is no valid corpus; expected at least two pairs "
            "or data.valid"
        )
    wanted = max(1, min(data.held_out, total // 10))
    counts = [min(part, size - 1) for part, size in zip(apportion(wanted, sizes), sizes, strict=True)]
    if not sum(counts):
        raise DataError("every training corpus has one pair only and there is no valid corpus; set data.valid")
    held, of = f"{sum(counts):,}", f"{total:,}"
    if len(sizes) == 1:
        which = f"the last {held} of {of} training pairs"
    else:
        which = f"the last pairs of every training corpus, {held} of {of} in all,"
    say(f"no data.valid is set: {which} {'is' if len(sizes) == sum(counts) == 1 else 'are'} held out for validation")
    return counts


def describe_corpora(prepared_counts: dict[str, Any], draws: list[int]) -> list[str]:
    """Return a line for each of several corpora: the pairs kept, and how many of them an epoch takes."""
    lines = []
    for entry, count in zip(prepared_counts["corpora"], draws, strict=True):
        source, target = (language or "?" for language in entry["languages"])
        lines.append(
            f"{entry['name']} ({source} to {target}): {entry['train']:,} of {counted(entry['pairs'], 'pair')} kept; "
            f"an epoch takes {count:,} ({100 * count / sum(draws):.1f} % of it, {count / entry['train']:.2f} passes)"
        )
    return lines
