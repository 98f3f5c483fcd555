"""Encoding training pairs block by block: text to piece ids, and which pairs are left out for their lengths."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from translator.config import DataSettings
from translator.data.altered import AlteredLines
from translator.data.arrow_file import DatasetWriter, batches_of, record_batch
from translator.data.cleaning import KEPT, fits, reason_of
from translator.data.dropped import Dropped
from translator.data.filters import Pair, chosen_reasons
from translator.data.parts import Figures
from translator.data.piece_links import link_pieces, piece_words
from translator.data.shared_work import spans_of
from translator.data.workers import blocks_of
from translator.runtime.console import progress
from translator.text import AlignmentFile, Corpus, TokenizerPair, load_tokenizers, with_tag


class CodedBlock(NamedTuple):
    """Consecutive pairs of a training corpus, and what `translator.data.cleaning.select` found."""

    start: int
    """Index of the first pair in its corpus."""
    pairs: Sequence[Pair]
    codes: np.ndarray  # uint8 [N]
    alignments: Sequence[str] | None = None
    """The word links of each pair as they are written, if the corpus has some."""


class EncodedBlock(NamedTuple):
    """The pairs of a block that are kept, encoded, and what became of the others."""

    batch: pa.RecordBatch
    dropped: Dropped
    altered: dict[str, AlteredLines]
    """Lines of either side that the tokenizer does not give back as they are."""


@dataclass(frozen=True)
class BlockEncoder:
    """Encodes blocks of one corpus. It can be sent to other processes, which load the tokenizers themselves."""

    tokenizers_at: Path
    """Directory of the tokenizers."""
    data: DataSettings
    corpus: str
    """What messages call the corpus."""
    tag: int | None
    """Piece of the language tag, which goes before every source."""
    with_text: bool
    """Whether the text is kept."""
    alignments: AlignmentFile | None = None
    """Where the word links of the corpus come from; with them, the links between pieces are kept."""

    @cached_property
    def _tokenizers(self) -> TokenizerPair:
        return load_tokenizers(self.tokenizers_at)

    def __reduce__(self) -> Any:
        return BlockEncoder, (
            self.tokenizers_at, self.data, self.corpus, self.tag, self.with_text, self.alignments,
        )  # fmt: skip

    def __call__(self, block: CodedBlock) -> EncodedBlock:
        """Encode the pairs that cleaning keeps, and leave out those of impossible length."""
        dropped = Dropped(chosen_reasons(self.data))
        kept = np.flatnonzero(block.codes == KEPT).tolist()
        sources, targets = encode_pairs(self._tokenizers, [block.pairs[index] for index in kept])
        reasons: dict[int, str] = {}
        fitting = []
        for row, index in enumerate(kept):
            lengths = len(sources[row]), len(targets[row])
            reason = fits(*lengths, self.data.max_length, self.data.max_length_ratio, self.tag is not None)
            if reason is None:
                fitting.append(row)
            else:
                reasons[index] = reason
        for index in np.flatnonzero(block.codes != KEPT).tolist():
            reasons[index] = reason_of(block.codes[index])
        for index in sorted(reasons):
            dropped.add(reasons[index], self.corpus, block.start + index + 1, block.pairs[index])
        texts = [_without_return(block.pairs[kept[row]]) for row in fitting]
        sides = [source for source, _ in texts], [target for _, target in texts]
        ids = [sources[row] for row in fitting], [targets[row] for row in fitting]
        altered = {"source": AlteredLines(), "target": AlteredLines()}
        altered["source"].count(self._tokenizers.source, sides[0], ids[0])
        altered["target"].count(self._tokenizers.target, sides[1], ids[1])
        links = self._links(block, [kept[row] for row in fitting])
        batch = record_batch(with_tag(ids[0], self.tag), ids[1], sides if self.with_text else None, links)
        return EncodedBlock(batch, dropped, altered)

    def _links(self, block: CodedBlock, chosen: Sequence[int]) -> list[list[int]] | None:
        """Return the links between the pieces of the chosen pairs of a block, as `link_pieces`; None without any."""
        if block.alignments is None or self.alignments is None:
            return None
        found: list[list[int]] = []
        pairs = [_without_return(block.pairs[index]) for index in chosen]
        sides = zip(
            self._tokenizers.source.piece_starts([source for source, _ in pairs]),
            self._tokenizers.target.piece_starts([target for _, target in pairs]),
            strict=True,
        )
        for index, (source, target), starts in zip(chosen, pairs, sides, strict=True):
            links = self.alignments.parse(block.alignments[index], block.start + index, (source, target))
            words = piece_words(source, starts[0]), piece_words(target, starts[1])
            # A language tag goes before the pieces of the source.
            found.append(link_pieces(links, *words, first=int(self.tag is not None)))
        return found


@dataclass(frozen=True)
class Encoding:
    """The `CorpusWork` of encoding a training corpus."""

    index: int
    key: str
    encoder: BlockEncoder
    codes: Path
    """File of an array of the codes of `CodedBlock`, uint8 [pairs]; pairs after the last code are held out."""
    pairs: int
    """Number of codes."""

    @property
    def spans(self) -> int:
        """See `CorpusWork`."""
        return spans_of(self.pairs)

    def job(self, corpus: Corpus) -> BlockEncoder:
        """See `CorpusWork`."""
        return self.encoder

    def blocks(self, corpus: Corpus) -> Iterator[CodedBlock]:
        """See `CorpusWork`."""
        codes = np.load(self.codes, mmap_mode="r")
        read = islice(corpus.pairs(), self.pairs)
        pairs = progress(read, description="encoding train", total=self.pairs, unit="pairs")
        lines = corpus.alignments.lines() if corpus.alignments is not None else None
        start = 0
        for block in blocks_of(pairs):
            alignments = list(islice(lines, len(block))) if lines is not None else None
            yield CodedBlock(start, block, np.array(codes[start : start + len(block)]), alignments)
            start += len(block)

    def write(self, results: Iterable[EncodedBlock], path: Path) -> Figures:
        """See `CorpusWork`."""
        counts = Counts(chosen_reasons(self.encoder.data))
        with self._writer(path) as writer:
            for block in results:
                if len(block.batch):
                    writer.write_batch(block.batch)
                counts.add(block.dropped, block.altered)
        return {"pairs": writer.pairs, **counts.as_figures()}

    def join(self, corpus: Corpus, spans: Sequence[tuple[Path, Figures]], path: Path) -> Figures:
        """See `CorpusWork`."""
        counts = Counts(chosen_reasons(self.encoder.data))
        with self._writer(path) as writer:
            for file, figures in spans:
                for batch in batches_of(file):
                    writer.write_batch(batch)
                counts.add_figures(figures)
        return {"pairs": writer.pairs, **counts.as_figures()}

    def _writer(self, path: Path) -> DatasetWriter:
        return DatasetWriter(path, self.encoder.with_text, with_links=self.encoder.alignments is not None)


class Counts:
    """What became of the pairs of consecutive blocks, spans or corpora, besides those that are kept."""

    def __init__(self, reasons: Collection[str]) -> None:
        """`reasons` are those for which the settings drop pairs."""
        self.dropped = Dropped(reasons)
        self.altered = {"source": AlteredLines(), "target": AlteredLines()}

    def add(self, dropped: Dropped, altered: dict[str, AlteredLines]) -> None:
        """Add what became of later pairs."""
        self.dropped.merge(dropped)
        for side, lines in altered.items():
            self.altered[side].add(lines)

    def add_figures(self, figures: Figures) -> None:
        """Add what `as_figures` returned for later pairs."""
        altered = {side: AlteredLines(**lines) for side, lines in figures["altered"].items()}
        self.add(Dropped.of(figures["dropped"], figures["examples"]), altered)

    def as_figures(self) -> Figures:
        """Return all as values for JSON."""
        return {
            "dropped": self.dropped.counts(),
            "examples": self.dropped.examples(),
            "altered": {side: lines.as_count() for side, lines in self.altered.items()},
        }


def encode_pairs(tokenizers: TokenizerPair, pairs: Sequence[Pair]) -> tuple[list[list[int]], list[list[int]]]:
    """Return the piece ids of sources and targets."""
    texts = [_without_return(pair) for pair in pairs]
    sources = tokenizers.source.encode([source for source, _ in texts], threads=1)
    targets = tokenizers.target.encode([target for _, target in texts], threads=1)
    return sources, targets


def _without_return(pair: Pair) -> Pair:
    # A model must not learn to write the carriage returns of files from Windows.
    return pair[0].removesuffix("\r"), pair[1].removesuffix("\r")
