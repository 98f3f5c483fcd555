"""Files that a command makes where its user says: refused before the work where they cannot be, whole if they exist."""

import os
from collections.abc import Sequence
from pathlib import Path

from translator.errors import DataError, TranslatorError
from translator.runtime.files import write_bytes


def check_output(path: Path, endings: Sequence[str]) -> None:
    """Raise, before there is anything to write, where `path` could not be written.

    `DataError` for a name that ends in none of `endings` (in small letters), `TranslatorError` for a directory, a
    place below a file, or one without the right to write.
    """
    if path.suffix.lower() not in endings:
        raise DataError(f"{path}: expected a file name that ends in {', '.join(endings)}")
    if path.is_dir():
        raise _cannot_write(path, "it is a directory")
    try:
        parent = next(place for place in path.absolute().parents if place.exists())
    except OSError as error:  # The working directory may be gone, or a name too long.
        raise _cannot_write(path, error.strerror or str(error)) from None
    if not parent.is_dir():
        raise _cannot_write(path, f"{parent} is no directory")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise _cannot_write(path, f"no right to write in {parent}")


def write_output(path: Path, data: bytes) -> Path:
    """Write a whole file, with the directories above it, and return it; `TranslatorError` where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, data)
    except OSError as error:
        raise _cannot_write(path, error.strerror or str(error)) from None
    return path


def _cannot_write(path: Path, reason: str) -> TranslatorError:
    return TranslatorError(f"{path} cannot be written ({reason}); choose another place with --output")
