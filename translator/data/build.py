"""The work of preparing data: scan, train the tokenizer, clean, encode, write; no decision on whether to."""

from collections import Counter
from collections.abc import Iterator
from itertools import compress, islice
from pathlib import Path
from typing import Any

import numpy as np

from translator.config import Config
from translator.data.cleaning import REASONS, Sentences, fits, scan, select
from translator.data.corpora import Corpora, hold_out, target_languages
from translator.data.dataset import DatasetWriter
from translator.data.manifest import (
    describe_files,
    library_versions,
    needs_text,
    resolve,
    settings_that_matter,
    write_manifest,
)
from translator.errors import DataError
from translator.runtime.console import progress, say
from translator.text import Corpus, TokenizerPair, save_tokenizers, train_tokenizers, with_tag

_BATCH_PAIRS = 8192


class Preparation:
    """One run of the work, into an empty directory."""

    def __init__(self, config: Config, corpora: Corpora, given: TokenizerPair | None, directory: Path) -> None:
        self.config = config
        self.corpora = corpora
        self.given = given
        self.directory = directory

    def run(self, inputs: dict[str, Any]) -> None:
        """Scan, train the tokenizer, clean, encode, and write the manifest last."""
        scans = {
            name: [scan(progress(corpus.pairs(), description=f"checking {name}", unit=" pairs")) for corpus in part]
            for name, part in self.corpora.items()
        }
        for name, part in self.corpora.items():
            for corpus, sentences in zip(part, scans[name], strict=True):
                if not len(sentences):
                    raise DataError(f"the {name} corpus {corpus.name} is empty; expected at least one pair")
        sizes = [len(sentences) for sentences in scans["train"]]
        held_out = hold_out(sizes, self.config.data) if "valid" not in scans else [0] * len(sizes)
        # What of every training corpus is trained on.
        read = [size - count for size, count in zip(sizes, held_out, strict=True)]
        languages = self.corpora["train"][0].languages
        if self.config.preset == "auto":
            chosen = resolve(self.config, sum(read), languages).preset
            say(f"preset {chosen}: chosen for {sum(read):,} training pairs")
        self.config = resolve(self.config, sum(read), languages)
        keep, dropped = self._select(scans, read)
        tokenizers = self._tokenizers(read)
        counts = {
            "pairs": sum(read),
            "held_out": sum(held_out),
            **self._write_train(tokenizers, read, keep, dropped),
            "valid": self._write_references("valid", tokenizers, read),
            "test": self._write_references("test", tokenizers) if "test" in scans else 0,
        }
        manifest = {
            "inputs": inputs,
            "settings": settings_that_matter(self.config),
            "languages": list(languages),
            "counts": counts,
            "train_text": needs_text(self.config),
            "vocab_size": [tokenizers.source.vocab_size, tokenizers.target.vocab_size],
            "files": describe_files(self.directory),
            "libraries": library_versions(),
        }
        write_manifest(self.directory, manifest)

    def _select(self, scans: dict[str, list[Sentences]], read: list[int]) -> tuple[np.ndarray, dict[str, int]]:
        train = [sentences[:count] for sentences, count in zip(scans["train"], read, strict=True)]
        references = [sentences for name, part in scans.items() if name != "train" for sentences in part]
        if "valid" not in scans:
            references += [sentences[count:] for sentences, count in zip(scans["train"], read, strict=True)]
        targets = None
        if self.config.data.language_tags:
            names = [corpus.languages[1] for corpus in self.corpora["train"]]
            targets = np.repeat([sorted(set(map(str, names))).index(str(name)) for name in names], read)
        data = self.config.data
        return select(Sentences.joined(train), references, data.drop_duplicates, data.drop_leaks, targets)

    def _tokenizers(self, read: list[int]) -> TokenizerPair:
        if self.given is not None:
            save_tokenizers(self.given, self.directory)
            return self.given

        def pairs() -> Iterator[tuple[str, str]]:
            for corpus, count in zip(self.corpora["train"], read, strict=True):
                yield from islice(corpus.pairs(), count)

        say(f"training the tokenizer ({self.config.tokenizer.type})")
        languages = target_languages(self.corpora) if self.config.data.language_tags else ()
        return train_tokenizers(pairs, self.config.tokenizer, self.directory, languages=languages)

    def _tag(self, tokenizers: TokenizerPair, corpus: Corpus) -> int | None:
        return tokenizers.source.tags[str(corpus.languages[1])] if self.config.data.language_tags else None

    def _write_train(
        self, tokenizers: TokenizerPair, read: list[int], keep: np.ndarray, dropped: dict[str, int]
    ) -> dict[str, Any]:
        """Encode the pairs that are left, drop those of impossible length, and return the counts."""
        reasons: Counter[str] = Counter(dropped)
        entries = []
        with DatasetWriter(self.directory / "train.arrow", with_text=needs_text(self.config)) as writer:
            for corpus, part in zip(self.corpora["train"], np.split(keep, np.cumsum(read)[:-1]), strict=True):
                before = writer.pairs
                kept = compress(islice(corpus.pairs(), len(part)), part)
                bar = progress(kept, description="encoding train", total=int(part.sum()), unit=" pairs")
                tag = self._tag(tokenizers, corpus)
                for batch in _batches(bar):
                    reasons.update(self._write_fitting(writer, tokenizers, batch, tag))
                names = {"name": corpus.name, "languages": list(corpus.languages)}
                entries.append({**names, "pairs": len(part), "train": writer.pairs - before})
        table = {reason: reasons[reason] for reason in REASONS}
        _require_pairs(entries, table)
        return {"train": writer.pairs, "corpora": entries, "dropped": table}

    def _write_fitting(
        self, writer: DatasetWriter, tokenizers: TokenizerPair, batch: list[tuple[str, str]], tag: int | None
    ) -> list[str]:
        """Write the pairs whose lengths are possible; return the reasons against the others."""
        data = self.config.data
        texts = [(source.removesuffix("\r"), target.removesuffix("\r")) for source, target in batch]
        sources, targets = _encode(tokenizers, texts)
        judged = [
            fits(len(source), len(target), data.max_length, data.max_length_ratio, tag is not None)
            for source, target in zip(sources, targets, strict=True)
        ]
        places = [place for place, reason in enumerate(judged) if reason is None]
        if places:
            sides = tuple([texts[place][side] for place in places] for side in (0, 1))
            writer.write(
                with_tag([sources[place] for place in places], tag),
                [targets[place] for place in places],
                (sides[0], sides[1]) if writer.with_text else None,
            )
        return [reason for reason in judged if reason is not None]

    def _write_references(self, name: str, tokenizers: TokenizerPair, starts: list[int] | None = None) -> int:
        """Write valid or test, every pair with its text; valid held out of train begins in each corpus at `starts`."""
        part = self.corpora.get(name) or self.corpora["train"]
        begins = starts if starts is not None and name not in self.corpora else [0] * len(part)
        with DatasetWriter(self.directory / f"{name}.arrow", with_text=True) as writer:
            for corpus, start in zip(part, begins, strict=True):
                tag = self._tag(tokenizers, corpus)
                for batch in _batches(islice(corpus.pairs(), start, None)):
                    sources, targets = _encode(tokenizers, batch)
                    texts = [pair[0] for pair in batch], [pair[1] for pair in batch]
                    writer.write(with_tag(sources, tag), targets, texts)
        return writer.pairs


def _require_pairs(entries: list[dict[str, Any]], dropped: dict[str, int]) -> None:
    """Raise `DataError` where cleaning left nothing of a training corpus."""
    emptied = next((entry for entry in entries if not entry["train"]), None)
    if emptied is None:
        return
    listed = ", ".join(f"{count:,} {REASONS[reason]}" for reason, count in dropped.items() if count)
    together = "; of all corpora together: " if len(entries) > 1 else " "
    raise DataError(
        f"no training pair is left of {emptied['pairs']:,} in {emptied['name']}{together}({listed}); check the corpus "
        "and the settings data.max_length, max_length_ratio, drop_duplicates and drop_leaks"
    )


def _batches(pairs: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    stream = iter(pairs)
    while batch := list(islice(stream, _BATCH_PAIRS)):
        yield batch


def _encode(tokenizers: TokenizerPair, batch: list[tuple[str, str]]) -> tuple[list[list[int]], list[list[int]]]:
    # The carriage return of a file from Windows is no part of what a model should learn to write.
    sources = tokenizers.source.encode([source.removesuffix("\r") for source, _ in batch])
    targets = tokenizers.target.encode([target.removesuffix("\r") for _, target in batch])
    return sources, targets
