"""A model of another system on its way to a run: what every importer returns, and how it is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from translator.checkpoints import Checkpoint, Identity, RunDirectory, check_shapes, write_checkpoint
from translator.checkpoints.run_directory import FINAL
from translator.config import Config, DecodingSettings, ModelSettings, resolve_preset, write_config
from translator.errors import CheckpointError, ConfigError, TokenizerError
from translator.model import parameter_shapes
from translator.runtime.console import warn
from translator.runtime.directories import new_directory
from translator.runtime.outputs import real_path
from translator.text import Tokenizer, TokenizerPair, Vocabulary, require_shared_ids, save_tokenizers


@dataclass(frozen=True)
class Languages:
    """Codes of the source and target language; None if they are not known."""

    source: str | None = None
    target: str | None = None


@dataclass(frozen=True)
class ImportedModel:
    """A model of another system in our terms."""

    system: str
    """The system it is from."""
    origin: str
    """The file or directory it was read from."""
    settings: ModelSettings
    tokenizers: TokenizerPair
    weights: Mapping[str, Tensor]
    """By our names, on the CPU, in fp32."""
    languages: Languages = field(default_factory=Languages)
    language_tags: bool = False
    """Whether sources begin with a tag of the target language."""
    decoding: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the section `decoding` that the model came with."""


def settings_of(values: Mapping[str, Any], where: str) -> ModelSettings:
    """Return the settings of a model; raise `ConfigError`, which names `where`, for values that ours cannot have."""
    try:
        return ModelSettings.model_validate(values)
    except ValidationError as error:
        raise _explained(error, where) from None


def _explained(error: ValidationError, where: str) -> ConfigError:
    return ConfigError([f"{where}: {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()])


def share_matrices(source: Tensor, target: Tensor, output: Tensor, share_ids: bool) -> tuple[str, dict[str, Tensor]]:
    """Return `model.tie_embeddings` for three matrices `[V, d_model]`, and those of them that are not the same.

    `share_ids` says whether an id means the same piece on both sides.
    """
    if not torch.equal(target, output):
        weights = {"source_embedding.weight": source, "target_embedding.weight": target, "output_weight": output}
        return "none", weights
    if share_ids and source.shape == target.shape and torch.equal(source, target):
        return "all", {"output_weight": output}
    return "decoder", {"source_embedding.weight": source, "output_weight": output}


def tokenizer_for(spm: Path, vocabulary: Vocabulary) -> Tokenizer:
    """Return the tokenizer of a SentencePiece model under a vocabulary.

    It is the SentencePiece model alone if that numbers its pieces alike, so that what we exported comes back as it was.
    `>>de<<` and `<2de>` are the same language tag. Raises `TokenizerError` if a file is damaged.
    """
    vocabulary.check(str(spm))
    try:
        model = spm.read_bytes()
    except OSError as error:
        raise TokenizerError(f"cannot read {spm}: {error.strerror or error}") from None
    plain = Tokenizer(model, str(spm))
    names = plain.pieces(range(plain.vocab_size))
    special = [names[plain.eos_id], names[plain.unk_id], None if plain.zero_start else names[plain.bos_id]]
    for language, index in plain.tags.items():
        if index < len(vocabulary.pieces) and vocabulary.pieces[index] == f">>{language}<<":
            names[index] = f">>{language}<<"
    wanted = [vocabulary.end, vocabulary.unknown, vocabulary.start]
    if tuple(names) == vocabulary.pieces and special == wanted:
        return plain
    return Tokenizer(model, str(spm), vocabulary)


def write_imported(model: ImportedModel, output: str | Path) -> Config:
    """Write a run with the model as its final weights to a new or empty directory; return its settings.

    Raises `CheckpointError` if weights are missing or have another shape than the settings say, and `ConfigError` or
    `TokenizerError` if settings and vocabularies contradict each other.
    """
    path = real_path(Path(output))
    config = _config(model, path)
    require_shared_ids(config.model, model.tokenizers)
    expected = parameter_shapes(config.model, *model.tokenizers.sizes)
    check_shapes({name: tuple(weight.shape) for name, weight in model.weights.items()}, expected, model.origin)
    state = {
        "step": 0,
        "imported": {"system": model.system, "origin": model.origin},
        **Identity.of(config, model.tokenizers).as_state(),
    }
    try:
        with new_directory(path) as partial:
            run = RunDirectory(partial)
            run.models.mkdir()
            write_checkpoint(run.models / FINAL, Checkpoint(dict(model.weights), {}, state))
            save_tokenizers(model.tokenizers, partial)
            write_config(config, run.config)
    except OSError as error:
        raise CheckpointError(
            f"cannot write {path}: {error.strerror or error}; make room, check that it is writable, or choose another "
            "directory with --output"
        ) from None
    return config


def _config(model: ImportedModel, path: Path) -> Config:
    data: dict[str, Any] = {
        "source_language": model.languages.source,
        "target_language": model.languages.target,
        "language_tags": model.language_tags,
        "max_length": min(256, model.settings.max_positions - 1),
    }
    stated = {
        # What it adds is how to train further, in batches that fit into any machine.
        "preset": "small",
        "run": str(path),
        "data": {name: value for name, value in data.items() if value is not None},
        "tokenizer": {"joint": model.tokenizers.share_ids},
        "model": model.settings.model_dump(),
        "decoding": _accepted(model.decoding, model.origin),
    }
    try:
        return resolve_preset(Config.model_validate(stated))
    except ValidationError as error:
        raise _explained(error, model.origin) from None


def _accepted(decoding: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the settings of a search without those that ours cannot have, which are named on stderr."""
    try:
        DecodingSettings.model_validate(decoding)
    except ValidationError as error:
        refused = {str(each["loc"][0]): f"{each['input']!r} ({each['msg']})" for each in error.errors()}
        for name, found in refused.items():
            warn(f"{where}: decoding.{name} is left at its default, because the model's is {found}")
        return {name: value for name, value in decoding.items() if name not in refused}
    return dict(decoding)
