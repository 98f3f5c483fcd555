"""Prepared data, opened: the pairs, their tokenizers, and the settings with what the data decide filled in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translator.config import Config, DataSettings, entries_of, resolve_preset, suggest_preset
from translator.data.auto_preset import stored_choice
from translator.data.dataset import ParallelDataset
from translator.data.manifest import read_manifest, train_files, verify_files
from translator.data.mixture import Mixture
from translator.data.usual_source import usual_source
from translator.text import TokenizerPair, load_tokenizers


@dataclass(frozen=True)
class PreparedData:
    """Prepared data, opened."""

    directory: Path
    config: Config
    """The settings with preset and languages filled in."""
    tokenizers: TokenizerPair
    train: ParallelDataset
    """Cleaned pairs, corpus by corpus; with text where training samples pieces from it."""
    valid: ParallelDataset
    """All validation pairs, untouched and in order, with text."""
    test: ParallelDataset | None
    manifest: dict[str, Any]
    mixture: Mixture | None = None
    """How several training corpora share an epoch; None for one corpus."""

    def train_digest(self) -> str:
        """Identify the training pairs by their pieces and their order."""
        return str(self.manifest.get("train_pairs") or self.train.digest())


def load_prepared(directory: str | Path, config: Config | None = None) -> PreparedData:
    """Open prepared data; raise `DataError` if they are missing or damaged (hashes are checked)."""
    path = Path(directory)
    manifest = read_manifest(path)
    verify_files(path, manifest)
    test = path / "test.arrow"
    train, tokenizers = ParallelDataset.open(train_files(path, manifest)), load_tokenizers(path)
    choice = stored_choice(manifest)
    preset = choice.name if choice is not None else suggest_preset(train.tokens)
    settings = resolve_settings(config or Config(), preset, manifest["languages"])
    return PreparedData(
        directory=path,
        config=_with_usual_source(settings, train, tokenizers),
        tokenizers=tokenizers,
        train=train,
        valid=ParallelDataset.open(path / "valid.arrow"),
        test=ParallelDataset.open(test) if test.name in manifest["files"] else None,
        manifest=manifest,
        mixture=_mixture(settings.data, manifest["counts"].get("corpora", [])),
    )


def resolve_settings(config: Config, preset: str, languages: Any) -> Config:
    """Fill in languages and what `auto` stands for, `preset`; with language tags every corpus has its own languages."""
    resolved = resolve_preset(config, preset)
    if resolved.data.source_language is not None or resolved.data.language_tags:
        return resolved
    named = {"source_language": languages[0], "target_language": languages[1]}
    return resolved.model_copy(update={"data": resolved.data.model_copy(update=named)})


def _with_usual_source(config: Config, train: ParallelDataset, tokenizers: TokenizerPair) -> Config:
    """Fill in the length above which a line to translate is split into its sentences."""
    if config.decoding.split_above != "auto" or not len(train):
        return config
    usual = usual_source(train, tokenizers.source, config.data.source_language, config.augmentation.merge > 0.0)
    return config.model_copy(update={"decoding": config.decoding.model_copy(update={"split_above": usual})})


def _mixture(data: DataSettings, corpora: list[dict[str, Any]]) -> Mixture | None:
    if len(corpora) < 2:
        return None
    weights = [entry.weight for entry in entries_of(data.train) if entry.weight is not None]
    stated = weights if len(weights) == len(corpora) else None
    return Mixture.of([entry["train"] for entry in corpora], stated, data.temperature)
