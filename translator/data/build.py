"""Building prepared data: scan the corpora, train the tokenizers, clean, encode, write."""

from collections.abc import Iterator
from hashlib import sha256
from itertools import compress, islice
from typing import Any

import numpy as np

from translator.config import DataSettings, TokenizerSettings
from translator.data.arrow_file import DatasetWriter
from translator.data.cleaning import KEPT, REASONS
from translator.data.corpora import target_languages
from translator.data.dropped import skipped_of
from translator.data.encoding import BlockEncoder, Counts, Encoding, encode_pairs
from translator.data.filters import chosen_reasons
from translator.data.parts import key_of
from translator.data.scanned import Place, ScannedCorpora, numbered
from translator.data.workers import blocks_of
from translator.errors import DataError
from translator.runtime.console import say
from translator.text import Corpus, TokenizerPair, extend_tokenizers, save_tokenizers, train_tokenizers, with_tag


class DataBuilder:
    """Builds the prepared data of scanned corpora in an empty directory, but for the manifest."""

    def __init__(
        self, scanned: ScannedCorpora, data: DataSettings, tokenizer: TokenizerSettings, given: TokenizerPair | None,
        extend: bool, place: Place, with_text: bool,
    ) -> None:  # fmt: skip
        """`given` tokenizers are used instead of training some, as they are or with new pieces (`extend`); `with_text`
        keeps the text of training pairs."""
        self.scanned, self.corpora = scanned, scanned.corpora
        self.data, self.tokenizer, self.given, self.extend = data, tokenizer, given, extend
        self.place, self.with_text = place, with_text

    def build(self) -> tuple[TokenizerPair, dict[str, Any]]:
        """Write the tokenizers and the Arrow files; return the tokenizers and the counts of pairs."""
        read = self.scanned.read
        codes = self.scanned.select(self.data)
        tokenizers = self._tokenizers()
        counts = {
            "pairs": sum(read),
            "held_out": sum(self.scanned.held_out),
            **self._write_train(tokenizers, codes),
            "valid": self._write_references("valid", tokenizers),
            "test": self._write_references("test", tokenizers) if "test" in self.corpora else 0,
        }
        return tokenizers, counts

    def _tokenizers(self) -> TokenizerPair:
        if self.given is not None and not self.extend:
            save_tokenizers(self.given, self.place.directory)
            return self.given

        def pairs() -> Iterator[tuple[str, str]]:
            for corpus, found, count in zip(
                self.corpora["train"], self.scanned.sentences["train"], self.scanned.read, strict=True
            ):
                # What filters drop must not shape the vocabulary.
                yield from compress(corpus.pairs(), (found.codes[:count] == KEPT).tobytes())

        languages = target_languages(self.corpora) if self.data.language_tags else ()
        if self.given is not None:
            return extend_tokenizers(self.given, pairs, self.tokenizer, self.place.directory, languages)
        say(f"training the tokenizer ({self.tokenizer.type})")
        return train_tokenizers(pairs, self.tokenizer, self.place.directory, languages=languages)

    def _tag(self, tokenizers: TokenizerPair, corpus: Corpus) -> int | None:
        return tokenizers.source.tags[str(corpus.languages[1])] if self.data.language_tags else None

    def _write_train(self, tokenizers: TokenizerPair, codes: np.ndarray) -> dict[str, Any]:
        """Encode the pairs that are left, drop those of impossible length, and return the counts."""
        parts = np.split(codes, np.cumsum(self.scanned.read)[:-1])
        works = [self._encoding(tokenizers, index, part) for index, part in enumerate(parts)]
        self.place.shared.make(works)
        counts = Counts(chosen_reasons(self.data))
        entries = []
        for work, corpus in zip(works, self.corpora["train"], strict=True):
            name = numbered("train", work.index, len(works)) + ".arrow"
            figures = self.place.shared.parts.place(work.key, self.place.directory / name)
            counts.add_figures(figures)
            names = {"name": corpus.name, "languages": list(corpus.languages)}
            entries.append({**names, "pairs": work.pairs, "train": figures["pairs"]})
        _require_pairs(entries, counts.dropped.counts())
        found = counts.as_figures()
        return {
            "train": sum(entry["train"] for entry in entries),
            "corpora": entries,
            "dropped": found["dropped"],
            "skipped": skipped_of(self.corpora["train"]),
            "examples": found["examples"],
            "altered": found["altered"],
        }

    def _encoding(self, tokenizers: TokenizerPair, index: int, codes: np.ndarray) -> Encoding:
        """Return the work of encoding one training corpus."""
        corpus, data = self.corpora["train"][index], self.data
        tag = self._tag(tokenizers, corpus)
        key = key_of(
            "train", list(REASONS), self.place.fingerprints[index], sha256(codes.tobytes()).hexdigest(),
            [tokenizers.source.digest, tokenizers.target.digest], data.max_length, data.max_length_ratio, tag,
            self.with_text,
        )  # fmt: skip
        file = self.place.shared.parts.scratch(f"{key}.codes.npy")
        np.save(file, codes)
        encoder = BlockEncoder(self.place.directory, data, corpus.name, tag, self.with_text, corpus.alignments)
        return Encoding(index, key, encoder, file, len(codes))

    def _write_references(self, name: str, tokenizers: TokenizerPair) -> int:
        """Write valid or test, every pair with its text; without a valid corpus, it is what train holds out."""
        part = self.corpora.get(name) or self.corpora["train"]
        begins = [0] * len(part) if name in self.corpora else self.scanned.read
        with DatasetWriter(self.place.directory / f"{name}.arrow", with_text=True) as writer:
            for corpus, start in zip(part, begins, strict=True):
                tag = self._tag(tokenizers, corpus)
                for batch in blocks_of(islice(corpus.pairs(), start, None)):
                    sources, targets = encode_pairs(tokenizers, batch)
                    texts = [pair[0] for pair in batch], [pair[1] for pair in batch]
                    writer.write(with_tag(sources, tag), targets, texts)
        return writer.pairs


def _require_pairs(entries: list[dict[str, Any]], dropped: dict[str, int]) -> None:
    """Raise `DataError` if cleaning left nothing of a training corpus."""
    emptied = next((entry for entry in entries if not entry["train"]), None)
    if emptied is None:
        return
    listed = ", ".join(f"{count:,} {REASONS[reason]}" for reason, count in dropped.items() if count)
    together = "; of all corpora together: " if len(entries) > 1 else " "
    raise DataError(
        f"no training pair is left of {emptied['pairs']:,} in {emptied['name']}{together}({listed}); check the corpus "
        "and the settings data.max_length, max_length_ratio, drop_duplicates, drop_leaks and those of filters"
    )
