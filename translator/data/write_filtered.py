"""The pairs that cleaning keeps, as text for other tools."""

import contextlib
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from translator.config import DataSettings
from translator.data.cleaning import KEPT, reason_of
from translator.data.corpora import open_corpora
from translator.data.dropped import Dropped, describe_dropped, skipped_of
from translator.data.filters import chosen_reasons
from translator.data.scanned import ScannedCorpora
from translator.data.workers import Workers
from translator.errors import DataError
from translator.runtime.console import progress, say
from translator.runtime.counted import counted
from translator.runtime.directories import new_directory
from translator.text import Corpus

_IN_NAMES = re.compile(r"[A-Za-z0-9_-]+")
_DROPPED = "dropped.jsonl"


def write_filtered(data: DataSettings, output: Path, with_dropped: bool = False) -> int:
    """Write the training pairs that cleaning keeps to a new directory, two files for each corpus; return how many.

    The files are `train.en` and `train.de`, or `train-1.en` and so on for several corpora; corpora without languages
    have `.source` and `.target`. Leaks, repetitions and filters count; lengths in pieces do not, since they need a
    tokenizer. With `with_dropped`, the other pairs are in `dropped.jsonl`, with the reasons. Raises `DataError` if
    nothing is left, and `OutputError` if there is such a directory.
    """
    corpora = open_corpora(data)
    with new_directory(output) as directory:
        with Workers(data.workers) as workers:
            scanned = ScannedCorpora.scan(corpora, data, workers)
        codes = scanned.select(data)
        if not (kept := int((codes == KEPT).sum())):
            raise DataError(
                f"none of {counted(len(codes), 'training pair')} is left, so nothing is written to {output}"
            )
        dropped = Dropped(chosen_reasons(data))
        bounds = np.cumsum(scanned.read)[:-1]
        with _log(directory / _DROPPED if with_dropped else None) as log:
            for number, (corpus, part) in enumerate(zip(corpora["train"], np.split(codes, bounds), strict=True), 1):
                name = "train" if len(corpora["train"]) == 1 else f"train-{number}"
                _write_corpus(corpus, part, [directory / file for file in _names(name, corpus)], dropped, log)
    counts = {reason: count for reason, count in dropped.counts().items() if reason not in ("length", "length_ratio")}
    for line in describe_dropped(len(codes), kept, 0, counts, skipped_of(corpora["train"])):
        say(line)
    return kept


def _write_corpus(corpus: Corpus, codes: np.ndarray, files: list[Path], dropped: Dropped, log: BinaryIO | None) -> None:
    with ExitStack() as stack:
        sides = [stack.enter_context(file.open("wb")) for file in files]
        pairs = progress(corpus.pairs(), description=f"writing {files[0].stem}", total=len(codes), unit="pairs")
        for number, (pair, code) in enumerate(zip(pairs, codes.tobytes(), strict=True), start=1):
            if code == KEPT:
                for side, text in zip(sides, pair, strict=True):
                    side.write(text.removesuffix("\r").encode() + b"\n")
                continue
            reason = reason_of(code)
            dropped.add(reason, corpus.name, number, pair)
            if log is not None:
                row = {"reason": reason, "corpus": corpus.name, "pair": number, "source": pair[0], "target": pair[1]}
                log.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


@contextlib.contextmanager
def _log(file: Path | None) -> Iterator[BinaryIO | None]:
    if file is None:
        yield None
        return
    with file.open("wb") as stream:
        yield cast(BinaryIO, stream)


def _names(name: str, corpus: Corpus) -> list[str]:
    """Return the names of the files of a corpus, with its languages as endings if those suit."""
    languages = [str(language) for language in corpus.languages]
    suit = None not in corpus.languages and len(set(languages)) == 2 and all(map(_IN_NAMES.fullmatch, languages))
    return [f"{name}.{ending}" for ending in (languages if suit else ["source", "target"])]
