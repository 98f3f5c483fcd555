"""Translated files that wait to be fetched: in a directory that worker processes share, bounded in size and time."""

import contextlib
import os
import re
import secrets
import time
from pathlib import Path

_SECONDS = 600
_MOST_BYTES = 256 << 20
_NAME = re.compile(r"[0-9a-f]{32}\.[a-z]{1,5}")


class TranslatedFiles:
    """Keeps a file for ten minutes; the oldest are deleted if all together need more than 256 MiB."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)

    def add(self, data: bytes, ending: str) -> str:
        """Keep a file and return its name, which nobody can guess.

        Raises `OSError` if it cannot be written.
        """
        self._make_directory()
        self._delete_old(len(data))
        name = secrets.token_hex(16) + ending
        temporary = self._directory / f".{name}"
        temporary.write_bytes(data)
        temporary.rename(self._directory / name)
        return name

    def find(self, name: str) -> Path | None:
        """Return the file of that name if it is still there."""
        path = self._directory / name
        with contextlib.suppress(OSError):
            if _NAME.fullmatch(name) and path.stat().st_mtime >= time.time() - _SECONDS:
                return path
        return None

    def _make_directory(self) -> None:
        """Make the directory again if something has tidied it away, as is done with what is long unused in /tmp."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        if hasattr(os, "getuid") and self._directory.stat().st_uid != os.getuid():
            raise PermissionError(f"{self._directory} belongs to somebody else")

    def _delete_old(self, wanted: int) -> None:
        found = []
        for path in self._directory.iterdir():
            # Another process may delete it at the same time.
            with contextlib.suppress(OSError):
                state = path.stat()
                found.append((state.st_mtime, state.st_size, path))
        total, oldest_kept = wanted, time.time() - _SECONDS
        for modified, size, path in sorted(found, reverse=True):
            total += size
            if modified < oldest_kept or total > _MOST_BYTES:
                path.unlink(missing_ok=True)
