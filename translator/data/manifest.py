"""The manifest of prepared data: what was made from what, with hashes that show damage and change."""

import json
import platform
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from translator.config import Config, resolve_preset
from translator.data.corpora import Corpora
from translator.errors import DataError
from translator.runtime.console import say
from translator.text import TokenizerPair, hash_file


def describe_inputs(corpora: Corpora, config: Config, given: TokenizerPair | None) -> dict[str, Any]:
    """Return name and fingerprint of every corpus and of tokenizers that are not trained here."""
    inputs: dict[str, Any] = {}
    for name, part in corpora.items():
        for number, corpus in enumerate(part, start=1):
            fingerprint = corpus.fingerprint()
            if config.data.language_tags:
                fingerprint += f" to {corpus.languages[1]}"
            key = name if len(part) == 1 else f"{name} {number}"
            inputs[key] = {"name": corpus.name, "fingerprint": fingerprint}
    if given is not None:
        hashes = [sha256(side.model).hexdigest() for side in (given.source, given.target)]
        fingerprint = hashes[0] if given.joint else " ".join(hashes)
        inputs["tokenizer"] = {"name": config.start_from or config.tokenizer.model, "fingerprint": fingerprint}
    return inputs


def needs_text(config: Config) -> bool:
    """Whether the text of training pairs is kept: pieces that are sampled in training are sampled from it."""
    return config.training.subword_sampling > 0.0


def settings_that_matter(config: Config) -> dict[str, Any]:
    """Return the settings that change what is prepared; the corpora themselves count by their content."""
    data = config.data.model_dump(mode="json")
    names = ["max_length", "max_length_ratio", "drop_duplicates", "drop_leaks"]
    if config.data.valid is None:
        names.append("held_out")
    if config.data.language_tags:
        names.append("language_tags")
    # A tokenizer that is given is an input, and no setting of the training counts.
    is_given = config.tokenizer.model or config.start_from
    tokenizer = {} if is_given else config.tokenizer.model_dump(mode="json", exclude={"model"})
    return {"data": {name: data[name] for name in names}, "tokenizer": tokenizer}


def resolve(config: Config, pairs: int, languages: Any) -> Config:
    """Fill in preset and languages; with language tags every corpus has its own."""
    resolved = resolve_preset(config, pairs)
    if resolved.data.source_language is not None or resolved.data.language_tags:
        return resolved
    named = {"source_language": languages[0], "target_language": languages[1]}
    return resolved.model_copy(update={"data": resolved.data.model_copy(update=named)})


def is_current(place: Path, config: Config, inputs: dict[str, Any]) -> bool:
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
    resolved = resolve(config, manifest["counts"]["pairs"], manifest["languages"])
    if manifest["settings"] != settings_that_matter(resolved):
        say(f"the settings behind {place} have changed; preparing again")
        return False
    # Text that nobody reads does no harm, so it counts in one direction only.
    if needs_text(resolved) and not manifest.get("train_text", False):
        say(f"{place} has no text of the training pairs, which training.subword_sampling reads; preparing again")
        return False
    return True


MANIFEST = "manifest.json"
_FORMAT = 1


def write_manifest(directory: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest as JSON."""
    text = json.dumps({"format": _FORMAT, **manifest}, indent=2, ensure_ascii=False)
    (directory / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_manifest(directory: Path) -> dict[str, Any]:
    """Read the manifest; raise `DataError` where there is none that this version understands."""
    file = directory / MANIFEST
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        found = manifest["format"]
    except FileNotFoundError:
        raise DataError(
            f"{directory} is not prepared data: it has no {MANIFEST}; make it with `translator data prepare`"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is damaged ({error}); delete the directory and prepare again") from None
    if found != _FORMAT:
        raise DataError(f"{file} has format {found}, expected {_FORMAT}; delete the directory and prepare again")
    return manifest


def describe_files(directory: Path) -> dict[str, dict[str, Any]]:
    """Return size and hash of every file of a directory."""
    return {
        file.name: {"bytes": file.stat().st_size, "sha256": hash_file(file)} for file in sorted(directory.iterdir())
    }


def verify_files(directory: Path, manifest: dict[str, Any]) -> None:
    """Raise `DataError` that names the first file which is missing or not what the manifest says."""
    for name, entry in manifest["files"].items():
        file = directory / name
        if not file.is_file():
            raise DataError(f"{file} is missing; delete {directory} and prepare again")
        size = file.stat().st_size
        if size != entry["bytes"]:
            raise DataError(
                f"{file} is damaged: {size:,} bytes, expected {entry['bytes']:,}; delete {directory} and prepare again"
            )
        if hash_file(file) != entry["sha256"]:
            raise DataError(
                f"{file} is damaged: its hash is not that of {MANIFEST}; delete {directory} and prepare again"
            )


def library_versions() -> dict[str, str]:
    """Return the versions of what shapes the result."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("pyarrow", "sentencepiece")},
    }
