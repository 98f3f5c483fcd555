"""The files of an output that was interrupted: its text, and a note that says how much of it counts.

They are called `.NAME.DIGITS.unfinished` and `.NAME.DIGITS.unfinished.json`, with random digits (`runtime.files`).
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from translator.errors import DataError
from translator.runtime.console import warn
from translator.runtime.counted import counted
from translator.runtime.files import create_file, hidden_files, try_lock, unless_in_use
from translator.runtime.json_files import read_json
from translator.runtime.lock_holder import describe_holder

_TEXT, _NOTE = ".unfinished", ".unfinished.json"
_SHAPE = {"lines": int, "size": int, "sources": str, "text": str, "made_with": {str: object}}
_BLOCK_BYTES = 1 << 20


def find_texts(target: Path) -> list[Path]:
    """Return what interrupted outputs, or those that are being written, have of `target`."""
    return hidden_files(target, _TEXT)


def find_notes(target: Path) -> list[Path]:
    """Return the notes of interrupted outputs that were to become `target`."""
    return hidden_files(target, _NOTE)


class Note(NamedTuple):
    """How far an output has come."""

    lines: int
    size: int
    """Bytes of the text that belongs to those lines."""
    sources: str
    """Digest of the lines that were read."""
    text: str
    """Digest of the text."""
    made_with: dict[str, Any]


class Unfinished:
    """The text of an unfinished output, open and locked for this process."""

    def __init__(self, path: Path, descriptor: int, note: Note | None = None, text_digest: Any = None) -> None:
        self.path, self.descriptor = path, descriptor
        self.note, self.text_digest = note, text_digest
        """The note that was found, and the hash object of the text that it counts; None if nothing can be resumed."""

    @property
    def note_path(self) -> Path:
        """Where the note is kept."""
        return self.path.with_name(f"{self.path.name}.json")

    def close(self) -> None:
        """Let other processes have the file."""
        os.close(self.descriptor)

    def remove(self) -> None:
        """Delete the text, of which nothing is worth keeping."""
        self.path.unlink(missing_ok=True)

    def remove_notes(self, target: Path) -> None:
        """Delete the note of an output that is finished, and what crashes left that nobody can resume."""
        self.note_path.unlink(missing_ok=True)
        for path in find_texts(target):
            with contextlib.suppress(OSError), unless_in_use(path):
                path.unlink()
        for note in find_notes(target):
            if not note.with_name(note.name.removesuffix(".json")).exists():
                note.unlink(missing_ok=True)


def claim(target: Path, made_with: dict[str, Any]) -> Unfinished:
    """Open the unfinished file of `target` that was made with the same, or a new one.

    Raises `DataError` if another process is writing it, or if what is there was made with something else.
    """
    found: list[Unfinished] = []
    try:
        for path in find_texts(target):
            if (unfinished := _open(path, target)) is not None:
                found.append(unfinished)
        # In the form that values have after writing and reading JSON.
        ours = json.loads(json.dumps(made_with))
        for unfinished in found:
            if unfinished.note is not None and unfinished.note.made_with == ours:
                found.remove(unfinished)
                return unfinished
        for unfinished in found:
            if unfinished.note is not None:
                raise _made_otherwise(unfinished.path, unfinished.note, ours)
    finally:
        for unfinished in found:
            unfinished.close()
    return Unfinished(*create_file(target, _TEXT))


def _open(path: Path, target: Path) -> Unfinished | None:
    """Open the text of an interrupted output and read its note, if it is still there."""
    try:
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return None
    if not try_lock(descriptor):
        os.close(descriptor)
        raise DataError(f"{describe_holder(path)} is writing {target}; wait for it, or choose another name")
    unfinished = Unfinished(path, descriptor)
    try:
        note = Note(**{name: value for name, value in _read(unfinished.note_path).items() if name in Note._fields})
    except FileNotFoundError:
        return unfinished
    except DataError as error:
        warn(str(error))
        return unfinished
    digest = _digest(descriptor, note.size)
    if note.lines < 0 or note.size < 0 or digest.hexdigest() != note.text:
        warn(f"{path} is damaged: it is not the text that its note tells of; beginning again")
        return unfinished
    return Unfinished(path, descriptor, note, digest)


def _read(path: Path) -> dict[str, Any]:
    note: dict[str, Any] = read_json(path, _SHAPE, DataError, "beginning again")
    return note


def _digest(descriptor: int, size: int) -> Any:
    digest, position = hashlib.blake2b(digest_size=16), 0
    while position < size and (block := os.pread(descriptor, min(_BLOCK_BYTES, size - position), position)):
        digest.update(block)
        position += len(block)
    return digest


def _made_otherwise(path: Path, note: Note, ours: dict[str, Any]) -> DataError:
    theirs = note.made_with
    changed = sorted(name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name))
    differences = ", ".join(f"{name} {theirs.get(name)} and now {ours.get(name)}" for name in changed)
    return DataError(
        f"{path} holds {counted(note.lines, 'line that was', 'lines that were')} translated otherwise "
        f"({differences}); repeat that command to resume it, or remove the file to start again"
    )
