"""From corpora to a directory of prepared data: tokenizer, cleaned pairs as piece ids, and a manifest."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import compress, islice
from pathlib import Path
from typing import Any

from translator.config.presets import resolve_preset
from translator.config.schema import Config
from translator.data.cleaning import REASONS, Sentences, fits, scan, select
from translator.data.dataset import DatasetWriter, ParallelDataset
from translator.data.manifest import (
    MANIFEST,
    describe_files,
    library_versions,
    read_manifest,
    verify_files,
    write_manifest,
)
from translator.errors import DataError
from translator.runtime.console import progress, say
from translator.runtime.files import new_directory
from translator.text import (
    Corpus,
    Tokenizer,
    TokenizerPair,
    hash_file,
    load_tokenizers,
    open_corpus,
    save_tokenizers,
    train_tokenizers,
)

_BATCH_PAIRS = 8192
_SPLITS = {"train": "train", "valid": "validation", "test": "test"}


@dataclass(frozen=True)
class PreparedData:
    """Prepared data, opened."""

    directory: Path
    config: Config
    """The settings with preset and languages filled in."""
    tokenizers: TokenizerPair
    train: ParallelDataset
    """Cleaned pairs without text."""
    valid: ParallelDataset
    """All validation pairs, untouched and in order, with text."""
    test: ParallelDataset | None
    manifest: dict[str, Any]


def prepare(config: Config, directory: str | Path) -> PreparedData:
    """Prepare the corpora of `config.data` in `directory`, unless they have been already.

    Everything is read through once before any work, so that damaged input is an error (`DataError`) at once.
    The directory appears complete or not at all; what another preparation left there is replaced, anything
    else is refused. Memory does not grow with the text but for 17 bytes a pair.
    """
    place = Path(directory)
    _refuse_foreign_directory(place)
    corpora = _open_corpora(config)
    tokenizer = Tokenizer.load(config.tokenizer.model) if config.tokenizer.model else None
    inputs = _describe_inputs(corpora, config)
    place.parent.mkdir(parents=True, exist_ok=True)
    with _locked(place.parent):
        if _is_current(place, config, inputs):
            say(f"prepared data in {place} are up to date")
            return load_prepared(place, config)
        with new_directory(place) as partial:
            _Preparation(config, corpora, tokenizer, partial).run(inputs)
    say(f"prepared data written to {place}")
    return load_prepared(place, config)


def load_prepared(directory: str | Path, config: Config | None = None) -> PreparedData:
    """Open prepared data; raise `DataError` where they are missing or damaged (hashes are checked)."""
    place = Path(directory)
    manifest = read_manifest(place)
    verify_files(place, manifest)
    test = place / "test.arrow"
    return PreparedData(
        directory=place,
        config=_resolved(config or Config(), manifest["counts"]["pairs"], manifest["languages"]),
        tokenizers=load_tokenizers(place),
        train=ParallelDataset.open(place / "train.arrow"),
        valid=ParallelDataset.open(place / "valid.arrow"),
        test=ParallelDataset.open(test) if test.name in manifest["files"] else None,
        manifest=manifest,
    )


class _Preparation:
    """One run of the work, into an empty directory."""

    def __init__(
        self, config: Config, corpora: dict[str, Corpus], tokenizer: Tokenizer | None, directory: Path
    ) -> None:
        self.config = config
        self.corpora = corpora
        self.tokenizer = tokenizer
        self.directory = directory

    def run(self, inputs: dict[str, Any]) -> None:
        """Scan, train the tokenizer, clean, encode, and write the manifest last."""
        scans = {
            name: scan(progress(corpus.pairs(), description=f"checking {name}", unit=" pairs"))
            for name, corpus in self.corpora.items()
        }
        for name, sentences in scans.items():
            if not len(sentences):
                raise DataError(f"the {name} corpus {self.corpora[name].name} is empty; expected at least one pair")
        held_out = _held_out(len(scans["train"]), self.config) if "valid" not in scans else 0
        pairs = len(scans["train"]) - held_out
        languages = self.corpora["train"].languages
        if self.config.preset == "auto":
            say(f"preset {_resolved(self.config, pairs, languages).preset}: chosen for {pairs:,} training pairs")
        self.config = _resolved(self.config, pairs, languages)
        keep, dropped = self._select(scans, pairs)
        tokenizers = self._tokenizers(pairs)
        counts = {
            "pairs": pairs,
            "held_out": held_out,
            **self._write_train(tokenizers, keep, dropped),
            "valid": self._write_references("valid", tokenizers, pairs if held_out else 0),
            "test": self._write_references("test", tokenizers, 0) if "test" in scans else 0,
        }
        manifest = {
            "inputs": inputs,
            "settings": _settings_that_matter(self.config),
            "languages": list(languages),
            "counts": counts,
            "vocab_size": [tokenizers.source.vocab_size, tokenizers.target.vocab_size],
            "files": describe_files(self.directory),
            "libraries": library_versions(),
        }
        write_manifest(self.directory, manifest)

    def _select(self, scans: dict[str, Sentences], pairs: int) -> tuple[Any, dict[str, int]]:
        references = [sentences for name, sentences in scans.items() if name != "train"]
        if "valid" not in scans:
            references.append(scans["train"][pairs:])
        data = self.config.data
        return select(scans["train"][:pairs], references, data.drop_duplicates, data.drop_leaks)

    def _tokenizers(self, pairs: int) -> TokenizerPair:
        if self.tokenizer is not None:
            tokenizers = TokenizerPair(self.tokenizer, self.tokenizer, True)
            save_tokenizers(tokenizers, self.directory)
            return tokenizers
        say(f"training the tokenizer ({self.config.tokenizer.type})")
        return train_tokenizers(
            lambda: islice(self.corpora["train"].pairs(), pairs),
            self.config.tokenizer,
            self.directory,
        )

    def _write_train(self, tokenizers: TokenizerPair, keep: Any, dropped: dict[str, int]) -> dict[str, Any]:
        """Encode the pairs that are left, drop those of impossible length, and return the counts."""
        data = self.config.data
        reasons: Counter[str] = Counter(dropped)
        kept = compress(islice(self.corpora["train"].pairs(), len(keep)), keep)
        bar = progress(kept, description="encoding train", total=int(keep.sum()), unit=" pairs")
        with DatasetWriter(self.directory / "train.arrow", with_text=False) as writer:
            for batch in _batches(bar):
                encoded = list(zip(*_encode(tokenizers, batch), strict=True))
                judged = [
                    fits(len(source), len(target), data.max_length, data.max_length_ratio) for source, target in encoded
                ]
                reasons.update(reason for reason in judged if reason is not None)
                fitting = [pair for pair, reason in zip(encoded, judged, strict=True) if reason is None]
                if fitting:
                    sources, targets = zip(*fitting, strict=True)
                    writer.write(sources, targets)
        table = {reason: reasons[reason] for reason in REASONS}
        if not writer.pairs:
            listed = ", ".join(f"{count:,} {REASONS[reason]}" for reason, count in table.items() if count)
            raise DataError(
                f"no training pair is left of {len(keep):,} in {self.corpora['train'].name} ({listed}); "
                "check the corpus and the settings data.max_length, max_length_ratio and drop_leaks"
            )
        return {"train": writer.pairs, "dropped": table}

    def _write_references(self, name: str, tokenizers: TokenizerPair, start: int) -> int:
        """Write valid or test, every pair with its text; valid held out of train begins there at `start`."""
        pairs = islice(self.corpora.get(name, self.corpora["train"]).pairs(), start, None)
        with DatasetWriter(self.directory / f"{name}.arrow", with_text=True) as writer:
            for batch in _batches(pairs):
                sources, targets = _encode(tokenizers, batch)
                writer.write(sources, targets, ([pair[0] for pair in batch], [pair[1] for pair in batch]))
        return writer.pairs


def _open_corpora(config: Config) -> dict[str, Corpus]:
    data = config.data
    if data.train is None:
        raise DataError("data.train is not set; name a training corpus, for example data.train=corpus/train.{en,de}")
    corpora = {"train": open_corpus(data.train, data.source_language, data.target_language, "train")}
    languages = corpora["train"].languages
    for name in ("valid", "test"):
        spec = getattr(data, name)
        if spec is not None:
            corpora[name] = open_corpus(spec, *languages, _SPLITS[name])
    return corpora


def _describe_inputs(corpora: dict[str, Corpus], config: Config) -> dict[str, Any]:
    inputs: dict[str, Any] = {
        name: {"name": corpus.name, "fingerprint": corpus.fingerprint()} for name, corpus in corpora.items()
    }
    if config.tokenizer.model is not None:
        model = Path(config.tokenizer.model)
        inputs["tokenizer"] = {"name": str(model), "fingerprint": hash_file(model)}
    return inputs


def _settings_that_matter(config: Config) -> dict[str, Any]:
    """Return the settings that change what is prepared; the corpora themselves count by their content."""
    data = config.data.model_dump(mode="json")
    names = ["max_length", "max_length_ratio", "drop_duplicates", "drop_leaks"]
    if config.data.valid is None:
        names.append("held_out")
    # A tokenizer that is given is an input, and no setting of the training counts.
    tokenizer = {} if config.tokenizer.model else config.tokenizer.model_dump(mode="json", exclude={"model"})
    return {"data": {name: data[name] for name in names}, "tokenizer": tokenizer}


def _resolved(config: Config, pairs: int, languages: Any) -> Config:
    resolved = resolve_preset(config, pairs)
    if resolved.data.source_language is not None:
        return resolved
    named = {"source_language": languages[0], "target_language": languages[1]}
    return resolved.model_copy(update={"data": resolved.data.model_copy(update=named)})


def _is_current(place: Path, config: Config, inputs: dict[str, Any]) -> bool:
    """Tell whether the directory holds what these settings would make of these inputs."""
    if not (place / MANIFEST).exists():
        return False
    try:
        manifest = read_manifest(place)
        verify_files(place, manifest)
    except DataError as error:
        say(f"{error}; preparing again")
        return False
    found, wanted = (
        {name: entry["fingerprint"] for name, entry in described.items()} for described in (manifest["inputs"], inputs)
    )
    if found != wanted:
        say(f"the inputs of {place} have changed; preparing again")
        return False
    resolved = _resolved(config, manifest["counts"]["pairs"], manifest["languages"])
    if manifest["settings"] != _settings_that_matter(resolved):
        say(f"the settings behind {place} have changed; preparing again")
        return False
    return True


def _held_out(pairs: int, config: Config) -> int:
    if pairs < 2:
        raise DataError(
            f"the train corpus has {pairs} pair and there is no valid corpus; expected at least two pairs or data.valid"
        )
    count = max(1, min(config.data.held_out, pairs // 10))
    say(f"no data.valid is set: the last {count:,} of {pairs:,} training pairs are held out for validation")
    return count


def _batches(pairs: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    stream = iter(pairs)
    while batch := list(islice(stream, _BATCH_PAIRS)):
        yield batch


def _encode(tokenizers: TokenizerPair, batch: list[tuple[str, str]]) -> tuple[list[list[int]], list[list[int]]]:
    # The carriage return of a file from Windows is no part of what a model should learn to write.
    sources = tokenizers.source.encode([source.removesuffix("\r") for source, _ in batch])
    targets = tokenizers.target.encode([target.removesuffix("\r") for _, target in batch])
    return sources, targets


def _refuse_foreign_directory(place: Path) -> None:
    if not place.exists():
        return
    if not place.is_dir():
        raise DataError(f"{place} is a file; expected a directory for the prepared data (data.prepared)")
    if not (place / MANIFEST).exists() and any(place.iterdir()):
        raise DataError(
            f"{place} holds files but no {MANIFEST}, so it is no prepared data of ours and is left alone; "
            "choose another directory (data.prepared)"
        )


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let one process at a time prepare in `directory`; runs that share data wait for the first."""
    try:
        import fcntl
    except ImportError:  # Windows has no such lock; there two runs that start at once both do the work.
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
