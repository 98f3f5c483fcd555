"""The corpora of a run, read to the end once: hashes of all sentences, and what filters drop."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from translator.config import DataSettings
from translator.data.auto_preset import bytes_of
from translator.data.cleaning import REASONS, Sentences, are_blank, scan, scan_block, select
from translator.data.corpora import Corpora, hold_out
from translator.data.filters import REASON_OF_SETTING, Filter, Pair, text_filters
from translator.data.filters.scores import ScoreFilter
from translator.data.parts import Figures, key_of
from translator.data.shared_work import SharedWork
from translator.data.workers import Workers, blocks_of
from translator.errors import DataError
from translator.runtime.console import progress, warn
from translator.runtime.counted import counted
from translator.text import AlignmentFile, Corpus
from translator.text.corpus import Languages


@dataclass(frozen=True)
class Place:
    """Where prepared data are made: a directory, and who makes the parts that are not there already."""

    directory: Path
    shared: SharedWork
    fingerprints: list[str]
    """Those of the training corpora."""


@dataclass(frozen=True)
class ScannedCorpora:
    """The corpora of a run, read to the end once."""

    corpora: Corpora
    sentences: dict[str, list[Sentences]]
    """What was found of every corpus, by the names of `corpora`."""
    text_bytes: int
    """Size of both sides of all training corpora in UTF-8; 0 if they are not read for prepared data."""
    read: list[int]
    """Pairs of every training corpus that are trained on if cleaning keeps them: all but those that are held out."""
    held_out: list[int]
    """Pairs at the end of every training corpus that are held out for validation."""

    @classmethod
    def scan(
        cls, corpora: Corpora, data: DataSettings, workers: Workers, place: Place | None = None
    ) -> "ScannedCorpora":
        """Read all corpora; raise `DataError` if one is empty or if there is nothing to hold out.

        For prepared data, `place` keeps what is found of the training corpora. Without it, nothing is held out.
        """

        sentences, text_bytes = {}, 0
        for name, part in corpora.items():
            if name != "train":
                sentences[name] = [_scan_references(corpus, name) for corpus in part]
            elif place is None:
                sentences[name] = [_scan(corpus, data, workers) for corpus in part]
            else:
                sentences[name], text_bytes = _scan_or_find(part, data, place)
        for name, part in corpora.items():
            for corpus, hashes in zip(part, sentences[name], strict=True):
                if not len(hashes):
                    raise DataError(f"the {name} corpus {corpus.name} is empty; expected at least one pair")
        sizes = [len(hashes) for hashes in sentences["train"]]
        if place is None:
            return cls(corpora, sentences, 0, sizes, [0] * len(sizes))
        held_out = hold_out(sizes, data) if "valid" not in corpora else [0] * len(sizes)
        read = [size - count for size, count in zip(sizes, held_out, strict=True)]
        valid = sentences.get("valid") or [part[size:] for part, size in zip(sentences["train"], read, strict=True)]
        name = (
            "the valid corpus " + corpora["valid"][0].name
            if "valid" in corpora
            else "the pairs held out for validation"
        )
        _require_valid_text(name, sum(int(are_blank(part).sum()) for part in valid), sum(map(len, valid)))
        return cls(corpora, sentences, text_bytes, read, held_out)

    def select(self, data: DataSettings) -> np.ndarray:
        """Return for each training pair whether it is kept, as `translator.data.cleaning.select` does."""
        scans, read = self.sentences, self.read
        train = [sentences[:count] for sentences, count in zip(scans["train"], read, strict=True)]
        references = [sentences for name, part in scans.items() if name != "train" for sentences in part]
        if "valid" not in scans:
            references += [sentences[count:] for sentences, count in zip(scans["train"], read, strict=True)]
        targets = None
        if data.language_tags:
            names = [corpus.languages[1] for corpus in self.corpora["train"]]
            targets = np.repeat([sorted(set(map(str, names))).index(str(name)) for name in names], read)
        return select(Sentences.joined(train), references, data.drop_duplicates, data.drop_leaks, targets)


class ScannedBlock(NamedTuple):
    """What was found of consecutive pairs."""

    sentences: Sentences
    text_bytes: int
    """Size of both sides in UTF-8."""


@dataclass(frozen=True)
class BlockScanner:
    """Scans blocks of one training corpus. It can be sent to other processes, which make the filters themselves."""

    data: DataSettings
    languages: Languages
    scores: ScoreFilter | None
    alignments: AlignmentFile | None

    @cached_property
    def _filters(self) -> list[Filter]:
        return [*([self.scores] if self.scores is not None else []), *text_filters(self.data, self.languages)]

    def __reduce__(self) -> Any:
        return BlockScanner, (self.data, self.languages, self.scores, self.alignments)

    def __call__(self, block: tuple[int, Sequence[Pair], Sequence[str]]) -> ScannedBlock:
        """Scan consecutive pairs, given with the index of the first, and with their word links if there are some."""
        start, pairs, links = block
        if self.alignments is not None:
            for index, (pair, line) in enumerate(zip(pairs, links, strict=False), start=start):
                self.alignments.parse(line, index, pair)
        found = scan_block(pairs, start, self._filters, self.data.drop_near_duplicates)
        return ScannedBlock(found, sum(bytes_of(source) + bytes_of(target) for source, target in pairs))


@dataclass(frozen=True)
class Scanning:
    """The `CorpusWork` of reading a training corpus for the first time."""

    index: int
    key: str
    data: DataSettings
    spans: None = None

    def job(self, corpus: Corpus) -> BlockScanner:
        """See `CorpusWork`."""
        scores = ScoreFilter.of(corpus, self.data.min_score)
        return BlockScanner(self.data, corpus.languages, scores, corpus.alignments)

    def blocks(self, corpus: Corpus) -> Iterator[tuple[int, Sequence[Pair], Sequence[str]]]:
        """See `CorpusWork`; every block comes with the index of its first pair, and with its word links.

        Raises `DataError` if there are more or fewer lines of links than pairs.
        """
        pairs = progress(corpus.pairs(), description="checking train", unit="pairs")
        lines = corpus.alignments.lines() if corpus.alignments is not None else iter(())
        read = links_read = 0
        for block in blocks_of(pairs):
            links = list(islice(lines, len(block)))
            yield read, block, links
            read, links_read = read + len(block), links_read + len(links)
        if corpus.alignments is not None:
            corpus.alignments.require_lines(links_read + sum(1 for _ in lines), read)

    def write(self, results: Iterable[ScannedBlock], path: Path) -> Figures:
        """See `CorpusWork`."""
        found, sizes = zip(*results, strict=True)
        with path.open("wb") as file:
            Sentences.joined(found).save(file)
        return {"text_bytes": sum(sizes)}

    def join(self, corpus: Corpus, spans: Sequence[tuple[Path, Figures]], path: Path) -> Figures:
        """See `CorpusWork`; raise `DataError` as `complete` does."""
        found = self.complete(corpus, [_load(span) for span, _ in spans])
        with path.open("wb") as file:
            found.save(file)
        return {"skipped": corpus.skipped, "text_bytes": sum(figures["text_bytes"] for _, figures in spans)}

    def complete(self, corpus: Corpus, found: list[Sentences]) -> Sentences:
        """Join what was found of all pairs; raise `DataError` if there are more or fewer scores than pairs."""
        joined = Sentences.joined(found or [scan([])])
        if (scores := ScoreFilter.of(corpus, self.data.min_score)) is not None:
            scores.require_scores_of(len(joined))
        return joined


def numbered(name: str, index: int, count: int) -> str:
    """Return the name of what belongs to one of `count` training corpora: `train`, or `train-1` and so on."""
    return name if count == 1 else f"{name}-{index + 1}"


def _scan_or_find(corpora: Sequence[Corpus], data: DataSettings, place: Place) -> tuple[list[Sentences], int]:
    """Return what is found of every training corpus, and the bytes of all text; read only what no part tells."""
    settings = {setting: getattr(data, setting) for setting in REASON_OF_SETTING}
    works = []
    for index, (corpus, fingerprint) in enumerate(zip(corpora, place.fingerprints, strict=True)):
        key = key_of("scan", "text_bytes", list(REASONS), fingerprint, list(corpus.languages), settings)
        works.append(Scanning(index, key, data))
    place.shared.make(works)
    found, text_bytes = [], 0
    for work, corpus in zip(works, corpora, strict=True):
        path = place.directory / (numbered("train", work.index, len(corpora)) + ".scan")
        figures = place.shared.parts.place(work.key, path)
        corpus.skipped.update(figures["skipped"])
        text_bytes += figures["text_bytes"]
        found.append(_load(path))
    return found, text_bytes


def _scan(corpus: Corpus, data: DataSettings, workers: Workers) -> Sentences:
    """Read a training corpus to the end."""
    work = Scanning(0, "", data)
    blocks = workers.map(work.job(corpus), work.blocks(corpus))
    return work.complete(corpus, [block.sentences for block in blocks])


def _scan_references(corpus: Corpus, name: str) -> Sentences:
    """Read a corpus for validation or testing to the end; its pairs pass no filter."""
    pairs = progress(corpus.pairs(), description=f"checking {name}", unit="pairs")
    return Sentences.joined([scan(block) for block in blocks_of(pairs)] or [scan([])])


def _load(path: Path) -> Sentences:
    with path.open("rb") as file:
        return Sentences.load(file)


def _require_valid_text(name: str, blank: int, pairs: int) -> None:
    """Raise `DataError` if no validation pair can be scored; warn if some cannot."""
    if blank == pairs:
        raise DataError(
            f"{name}: all of {counted(pairs, 'pair has', 'pairs have')} a blank source or target, so nothing can be "
            "validated; set data.valid to pairs with text on both sides"
        )
    if blank:
        warn(
            f"{name}: {blank:,} of {counted(pairs, 'pair')} {'has' if blank == 1 else 'have'} a blank source or target"
        )
