"""Work on training corpora that the processes of a job share: spans of consecutive blocks go to them in turn.

Every process reads a whole corpus, since no format can be entered in the middle, and works on its own spans, each of
which it leaves as a part (`translator.data.parts`) for the main process to join. A job that ends early continues with
the spans that are missing, with any number of processes.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from translator.data.parts import Figures, Parts, key_of
from translator.data.workers import BLOCK_PAIRS, Workers
from translator.text import Corpus

if TYPE_CHECKING:
    # It loads torch, which the processes of `workers` do without.
    from translator.distributed import World

SPAN_BLOCKS = 16
"""Blocks of a span: 131,072 pairs, some seconds of work, which is what a process that is killed loses."""


class CorpusWork(Protocol):
    """What is made of one training corpus, by any number of processes. It must be picklable."""

    @property
    def index(self) -> int:
        """Index of the corpus among the training corpora."""

    @property
    def key(self) -> str:
        """Key of the part that is made (`Parts`)."""

    @property
    def spans(self) -> int | None:
        """Spans of the corpus; None if nobody has read it before."""

    def job(self, corpus: Corpus) -> Callable[[Any], Any]:
        """Return what is called with each block; it is picklable too."""

    def blocks(self, corpus: Corpus) -> Iterator[Any]:
        """Read the corpus, and yield its blocks of `BLOCK_PAIRS` pairs."""

    def write(self, results: Iterable[Any], path: Path) -> Figures:
        """Write the results of the blocks of a span to a file; return figures about them."""

    def join(self, corpus: Corpus, spans: Sequence[tuple[Path, Figures]], path: Path) -> Figures:
        """Write what `write` wrote of all spans, in order, to one file; return the figures of the part."""


class SharedWork:
    """Makes parts together with the other processes; those call `help`, which returns after `dismiss`."""

    def __init__(self, world: "World", corpora: Sequence[Corpus], parts: Parts, workers: Workers) -> None:
        """`corpora` are the training corpora, and `parts` are in a directory that all processes share."""
        self._world, self._corpora, self._workers = world, corpora, workers
        self.parts = parts

    def make(self, works: Sequence[CorpusWork]) -> None:
        """Make the parts that are missing among those of `works`; the main process calls this."""
        # A corpus that is listed twice is worked on once.
        different = {work.key: work for work in reversed(works)}
        missing = [work for work in reversed(different.values()) if self.parts.find(work.key) is None]
        for work, count in zip(missing, self._make_spans(missing), strict=True):
            spans = [self._span_key(work, span) for span in range(count)]
            files = [self.parts.get(key) for key in spans]
            corpus = self._corpora[work.index]
            self.parts.make(work.key, lambda path: work.join(corpus, files, path))  # noqa: B023 (called at once)
            for key in spans:
                self.parts.remove(key)

    def help(self) -> None:
        """Work on the spans of this process, until the main process calls `dismiss`."""
        while (works := self._world.from_main(_nothing)) is not None:
            self._make_own_spans(works)

    def _make_spans(self, works: list[CorpusWork]) -> list[int]:
        """Make the missing spans with all processes; return how many each corpus has."""
        self._world.from_main(lambda: works)
        return self._make_own_spans(works)

    def _make_own_spans(self, works: Sequence[CorpusWork]) -> list[int]:
        counts = [self._work_on(work) for work in works]
        self._world.barrier()
        return counts

    def _work_on(self, work: CorpusWork) -> int:
        """Make the spans of one corpus that are this process's and missing; return how many spans it has."""
        corpus = self._corpora[work.index]
        known: Figures | None
        known = {"spans": work.spans, "skipped": {}} if work.spans is not None else self.parts.noted(work.key)
        if known is not None and not any(self._is_missing(work, span) for span in range(known["spans"])):
            corpus.skipped.update(known["skipped"])
            return int(known["spans"])
        count = 0
        spans: deque[int] = deque()

        def missing_blocks() -> Iterator[Any]:
            nonlocal count
            for span, blocks in groupby(enumerate(work.blocks(corpus)), lambda block: block[0] // SPAN_BLOCKS):
                count = span + 1
                if self._is_missing(work, span):
                    for _, block in blocks:
                        spans.append(span)
                        yield block

        # One stream for all spans, so that the workers do not run empty at the end of each.
        results = self._workers.map(work.job(corpus), missing_blocks())
        for span, own in groupby(results, lambda _: spans.popleft()):
            self.parts.make(self._span_key(work, span), lambda path: work.write(own, path))  # noqa: B023 (as above)
        if work.spans is None and self._is_own(work, 0):
            self.parts.note(work.key, {"spans": count, "skipped": corpus.skipped})
        return count

    def _is_missing(self, work: CorpusWork, span: int) -> bool:
        """Whether a span is one for this process to make, and is not there."""
        return self._is_own(work, span) and self.parts.find(self._span_key(work, span)) is None

    def _is_own(self, work: CorpusWork, span: int) -> bool:
        # The first spans of several corpora go to different processes, for the sake of small corpora.
        return (work.index + span) % self._world.size == self._world.rank

    def _span_key(self, work: CorpusWork, span: int) -> str:
        return key_of("span", work.key, span, SPAN_BLOCKS * BLOCK_PAIRS)


def dismiss(world: "World") -> None:
    """Let `SharedWork.help` return in the other processes; the main process calls this, in any case."""
    world.from_main(_nothing)


def spans_of(pairs: int) -> int:
    """Return the number of spans of a corpus of so many pairs."""
    return -(-pairs // (SPAN_BLOCKS * BLOCK_PAIRS))


def _nothing() -> Any:
    """Return what a process other than the main one contributes, and what the main one says at the end."""
    return None
