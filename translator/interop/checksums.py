"""The list of its own files, with checksums, that every exported directory has: only what is listed is replaced."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from translator.errors import CheckpointError, DataError
from translator.runtime.json_files import read_json
from translator.text import hash_file

CHECKSUMS = "sha256.json"


def write_checksums(directory: Path) -> None:
    """Add the list to a directory that is complete otherwise and has no directories in it."""
    checksums = {file.name: hash_file(file) for file in sorted(directory.iterdir())}
    (directory / CHECKSUMS).write_text(json.dumps(checksums, indent=1) + "\n")


def listed_files(directory: Path) -> set[str]:
    """Return the names that a directory lists as ours, the list included; none if it has no list or a damaged one."""
    try:
        listed = set(read_json(directory / CHECKSUMS, {str: str}, DataError, ""))
    except (OSError, DataError):
        return set()
    return listed | {CHECKSUMS} if listed else set()


def is_whole(directory: Path) -> bool:
    """Tell whether a directory has exactly the files that it lists, as they were written."""
    try:
        checksums = read_json(directory / CHECKSUMS, {str: str}, DataError, "")
        names = {file.name for file in directory.iterdir()} - {CHECKSUMS}
        return names == checksums.keys() and all(hash_file(directory / name) == checksums[name] for name in names)
    except (OSError, DataError):
        return False


@contextmanager
def explained_writing(path: Path) -> Iterator[None]:
    """Turn an error of the disk while an export is written to `path` into a `CheckpointError` that says what to do."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"cannot write {path}: {error.strerror or error}; choose another directory, or make room and see that "
            "this one can be written"
        ) from None
