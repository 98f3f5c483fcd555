"""A Marian model file and what is next to it, as a model of ours."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from translator.errors import CheckpointError, ConfigError
from translator.interop.imported import ImportedModel, Languages
from translator.interop.marian.arrays import read_marian
from translator.interop.marian.settings import model_settings, parse_settings
from translator.interop.marian.vocabulary import load_vocabularies
from translator.interop.marian.weights import our_weights

_MAX_POSITIONS = 1024
"""Marian computes positions as they come; its models are trained on lines of a few hundred pieces."""
_LISTS, _SPM = (".yml", ".yaml", ".json"), ".spm"


def is_marian(path: Path) -> bool:
    """Tell whether a file, or a directory with one, looks like a Marian model."""
    return path.suffix == ".npz" or path.suffix == ".bin" if path.is_file() else bool(_model_files(path))


def import_marian(
    source: Path, languages: Languages, vocabularies: Sequence[Path] = (), tokenizers: Sequence[Path] = ()
) -> ImportedModel:
    """Read a Marian model, `.npz` or `.bin`, or the directory that holds it and its vocabularies.

    The files are those that the configuration for the decoder next to the model names (`vocabs`), or the only ones that
    fit; `vocabularies` and `tokenizers` name them otherwise (see `load_vocabularies`).
    """
    directory = source if source.is_dir() else source.parent
    decoder = _decoder_settings(directory)
    file = source if source.is_file() else _model_file(directory, decoder)
    read = read_marian(file)
    settings = model_settings(parse_settings(read.settings, str(file)), read.arrays, _MAX_POSITIONS, str(file))
    weights = our_weights(read.arrays, settings, str(file))
    target = len(weights.get("target_embedding.weight", weights["output_weight"]))
    sizes = len(weights.get("source_embedding.weight", weights["output_weight"])), target
    vocabularies = vocabularies or _vocabulary_files(directory, decoder)
    if tokenizers and all(file.suffix not in _LISTS for file in vocabularies):
        raise ConfigError(
            [f"--tokenizer: the vocabulary {vocabularies[0]} cuts words itself; leave it out, or name a list of pieces "
             f"({', '.join(_LISTS)}) with --vocabulary"]
        )  # fmt: skip
    pair = load_vocabularies(vocabularies, tokenizers or _spm_files(directory), sizes)
    return ImportedModel(
        "Marian", str(file), settings, pair, weights, languages, bool(pair.source.tags), _decoding(decoder)
    )


def _model_files(directory: Path) -> list[Path]:
    # lex.*.bin are shortlists.
    return sorted(
        file
        for file in directory.glob("*")
        if file.is_file()
        and (file.suffix == ".npz" or (file.suffix == ".bin" and "model" in file.name and "lex" not in file.name))
        and not file.name.endswith("optimizer.npz")
    )


def _model_file(directory: Path, decoder: Mapping[str, Any]) -> Path:
    named = decoder.get("models")
    if isinstance(named, list) and len(named) == 1:
        # Only its name, as of the vocabularies.
        file = directory / Path(str(named[0])).name
        if file.is_file():
            return file
    found = _model_files(directory)
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise CheckpointError(
            f"{directory} should have one model of Marian (.npz or .bin), found {names}; name the file"
        )
    return found[0]


def _decoder_settings(directory: Path) -> dict[str, Any]:
    """What the configuration of marian-decoder says, if there is just one that names a model."""
    found = []
    for file in sorted([*directory.glob("*.yml"), *directory.glob("*.yaml")]):
        if "vocab" not in file.name and file.is_file() and file.stat().st_size < 1 << 16:
            try:
                settings = parse_settings(file.read_text("utf-8"), str(file))
            except (ConfigError, OSError, UnicodeDecodeError):
                continue
            if "models" in settings:
                found.append(settings)
    return found[0] if len(found) == 1 else {}


def _vocabulary_files(directory: Path, decoder: Mapping[str, Any]) -> list[Path]:
    named = decoder.get("vocabs")
    if isinstance(named, list) and len(named) == 2:
        # Only names: a configuration from anybody must not make us read elsewhere.
        files = [directory / Path(str(name)).name for name in named]
        if all(file.is_file() for file in files):
            return files[:1] if files[0] == files[1] else files
    lists = [file for file in sorted(directory.iterdir()) if "vocab" in file.name and file.suffix in _LISTS]
    found = lists or [file for file in sorted(directory.iterdir()) if file.suffix == _SPM]
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise CheckpointError(
            f"{directory} should have one vocabulary, or a decoder's configuration that names two; found {names}; name "
            "them, source first, with --vocabulary"
        )
    return found


def _spm_files(directory: Path) -> list[Path]:
    return [file for name in ("source.spm", "target.spm") if (file := directory / name).is_file()]


def _decoding(decoder: Mapping[str, Any]) -> dict[str, Any]:
    """The search that the model came with: `normalize` is the exponent of the mean."""
    found: dict[str, Any] = {}
    try:
        if "beam-size" in decoder:
            found["beam_size"] = int(decoder["beam-size"])
        if "normalize" in decoder:
            found |= {"length_penalty": "mean", "length_alpha": float(decoder["normalize"])}
    except (TypeError, ValueError):
        return {}
    return found
