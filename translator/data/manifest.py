"""The manifest of prepared data: from what they were made, with hashes that reveal damage and change."""

import json
import platform
import re
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from translator.config import PRESETS, DataSettings, TokenizerSettings
from translator.data.corpora import Corpora, open_corpora
from translator.data.filters import REASON_OF_SETTING
from translator.errors import DataError
from translator.runtime.json_files import read_json
from translator.text import TOKENIZER_NAMES, TokenizerPair, hash_file

MANIFEST = "manifest.json"
TOKENIZER = "tokenizer"
"""The name, among the inputs, of tokenizers that were given and not trained."""
_NAMES = {MANIFEST, "valid.arrow", "test.arrow", *TOKENIZER_NAMES}
_OF_CORPORA = re.compile(r"train(-[1-9][0-9]*)?\.(arrow|scan)")
"""The names of files of training corpora."""
NORMALIZATION_TABLE = "normalization_table"
"""The name, among the inputs, of the table by which tokenizers that are trained here normalise."""
_LATER = ("source_normalization", "normalization_table", "user_defined_symbols", "split_digits", "extend")
_OF_EXTENSION = ("character_coverage", "extend", "sample_size")
_FORMAT = 1
_SHAPE = {
    "format": int,
    "inputs": {str: {"name": str, "fingerprint": str}},
    "settings": {"data": {str: object}, "tokenizer": {str: object}},
    "preset?": {"name": str, "reason": str},
    "languages": [(str, None)],
    "counts": {
        "pairs": int,
        "held_out?": int,
        "train?": int,
        "valid?": int,
        "test?": int,
        "corpora?": [{"name": str, "languages": [(str, None)], "pairs": int, "train": int}],
        "dropped?": {str: int},
        "altered?": {str: {"lines": int, "examples": [[str]]}},
        "skipped?": {str: int},
        "examples?": {str: [{"corpus": str, "pair": int, "source": str, "target": str}]},
    },
    "parts?": {str: {"key": str, "figures": {str: object}}},
    "train_text?": bool,
    "train_pairs?": str,
    "vocab_size?": [int],
    "files": {str: {"bytes": int, "sha256": str}},
}


def describe_inputs(
    corpora: Corpora, language_tags: bool, given: TokenizerPair | None, given_name: str | None
) -> dict[str, Any]:
    """Return name and fingerprint of every corpus, and of `given` tokenizers, which are not trained here."""
    inputs: dict[str, Any] = {}
    for name, part in corpora.items():
        for number, corpus in enumerate(part, start=1):
            fingerprint = corpus.fingerprint()
            if language_tags:
                fingerprint += f" to {corpus.languages[1]}"
            key = name if len(part) == 1 else f"{name} {number}"
            inputs[key] = {"name": corpus.name, "fingerprint": fingerprint}
    if given is not None:
        hashes = [given.source.digest, given.target.digest]
        fingerprint = hashes[0] if given.joint else " ".join(hashes)
        inputs[TOKENIZER] = {"name": given_name, "fingerprint": fingerprint}
    return inputs


def corpora_inputs(data: DataSettings) -> dict[str, Any]:
    """Open the corpora and return `describe_inputs` of them, without tokenizers; raise `DataError` as that does."""
    return describe_inputs(open_corpora(data), data.language_tags, None, None)


def fingerprints(inputs: dict[str, Any]) -> dict[str, str]:
    """Return the fingerprints of the corpora for training and validation, by their names in the inputs."""
    return {name: entry["fingerprint"] for name, entry in inputs.items() if name.split()[0] in ("train", "valid")}


def settings_that_matter(data: DataSettings, tokenizer: TokenizerSettings, given: bool) -> dict[str, Any]:
    """Return the settings that change what is prepared; the corpora themselves count by their content.

    If the tokenizers are `given`, they are an input, and the settings of their training count only if they are
    extended.
    """
    values = data.model_dump(mode="json")
    names = ["max_length", "max_length_ratio", "drop_duplicates", "drop_leaks"]
    # Prepared data of versions without these settings stay as they are, but for mojibake, which is dropped by default.
    chosen = DataSettings()
    names += [name for name in REASON_OF_SETTING if values[name] != getattr(chosen, name) or name == "drop_mojibake"]
    if data.valid is None:
        names.append("held_out")
    if data.language_tags:
        names.append("language_tags")
    trained = tokenizer.model_dump(mode="json", exclude={"model"})
    if given:
        trained = {name: trained[name] for name in _OF_EXTENSION} if tokenizer.extend else {}
    defaults = TokenizerSettings().model_dump(mode="json")
    # Prepared data of versions without these settings stay as they are.
    trained = {name: value for name, value in trained.items() if name not in _LATER or value != defaults[name]}
    return {"data": {name: values[name] for name in names}, "tokenizer": trained}


def has_other_inputs(manifest: dict[str, Any], inputs: dict[str, Any]) -> bool:
    """Whether prepared data were made from other inputs than `inputs`, as `describe_inputs` returns them."""
    found, wanted = (
        {name: entry["fingerprint"] for name, entry in described.items()} for described in (manifest["inputs"], inputs)
    )
    return found != wanted


def has_vocabulary(manifest: dict[str, Any], vocabulary: TokenizerPair) -> bool:
    """Whether prepared data are pieces of this vocabulary."""
    files = {name: entry["sha256"] for name, entry in manifest["files"].items() if name in TOKENIZER_NAMES}
    return files == {name: sha256(content).hexdigest() for name, content in vocabulary.files().items()}


def write_manifest(directory: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest as JSON."""
    text = json.dumps({"format": _FORMAT, **manifest}, indent=2, ensure_ascii=False)
    (directory / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_manifest(directory: Path) -> dict[str, Any]:
    """Read the manifest; raise `DataError` if there is none that this version understands."""
    file = directory / MANIFEST
    remedy = f"delete {directory} and prepare again"
    try:
        found = read_json(file, {"format": object}, DataError, remedy)["format"]
        if found != _FORMAT:
            raise DataError(f"{file} has format {str(found)[:20]}, expected {_FORMAT}; {remedy}")
        manifest: dict[str, Any] = read_json(file, _SHAPE, DataError, remedy)
    except FileNotFoundError:
        raise DataError(
            f"{directory} is not prepared data: it has no {MANIFEST}; make it with `translator data prepare`"
        ) from None
    if odd := next((name for name in manifest["files"] if Path(name).name != name), None):
        raise DataError(f"{file} is damaged (`files`: found {odd!r}, expected names of files in it); {remedy}")
    if "preset" in manifest and (name := manifest["preset"]["name"]) not in PRESETS:
        raise DataError(f"{file} is damaged (`preset`: found {name!r}, expected one of {', '.join(PRESETS)}); {remedy}")
    return manifest


def files_of_prepared(directory: Path) -> set[str]:
    """Return the names of the files of prepared data, as the manifest lists them; none of another directory.

    Of data with a damaged manifest, all names that prepared data can have.
    """
    try:
        manifest = json.loads((directory / MANIFEST).read_bytes())
    except OSError:
        return set()
    except (ValueError, RecursionError):
        found = {file.name for file in directory.iterdir()}
        return {name for name in found if _is_own(name)} if any(map(_OF_CORPORA.fullmatch, found)) else set()
    files = manifest.get("files") if isinstance(manifest, dict) and "inputs" in manifest else None
    return set(filter(_is_own, {MANIFEST, *files})) if isinstance(files, dict) else set()


def _is_own(name: str) -> bool:
    return name in _NAMES or _OF_CORPORA.fullmatch(name) is not None


def train_files(directory: Path, manifest: dict[str, Any]) -> list[Path]:
    """Return the Arrow files of the training pairs, corpus by corpus."""
    names = [name for name in manifest["files"] if _OF_CORPORA.fullmatch(name) and name.endswith(".arrow")]
    return [directory / name for name in sorted(names, key=lambda name: (len(name), name))]


def describe_files(directory: Path) -> dict[str, dict[str, Any]]:
    """Return size and hash of every file of a directory."""
    return {
        file.name: {"bytes": file.stat().st_size, "sha256": hash_file(file)} for file in sorted(directory.iterdir())
    }


def verify_files(directory: Path, manifest: dict[str, Any]) -> None:
    """Raise a `DataError` that names the first file which is missing or not what the manifest says."""
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
                f"{file} is damaged: its hash is not the one in {MANIFEST}; delete {directory} and prepare again"
            )


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that shape the result."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("pyarrow", "sentencepiece")},
    }
