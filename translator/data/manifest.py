"""The manifest of prepared data: what was made from what, with hashes that show damage and change."""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from translator.errors import DataError
from translator.text import hash_file

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
