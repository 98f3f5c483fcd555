"""Parts of prepared data that are kept when other parts are made again: what each training corpus gave.

A part is known by a key, a hash of all that it was made from. Finished parts wait in a hidden directory next to the
prepared data until all are finished, so that a preparation that was killed continues with the next one. Parts of the
prepared data that are being replaced are used again. Several processes may make different parts at the same time.
"""

import json
import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from translator.data.manifest import MANIFEST, read_manifest
from translator.errors import DataError
from translator.runtime.files import write_text
from translator.text import hash_file

Figures = dict[str, Any]
"""What is known of a part, as values for JSON."""


def key_of(*values: object) -> str:
    """Return a key for what is made from these values, which JSON can hold."""
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


class Parts:
    """Finds parts that are finished, keeps new ones, and puts them where they belong."""

    def __init__(self, prepared: Path) -> None:
        """`prepared` is the directory of prepared data that the parts are for, whether it exists or not."""
        self._waiting = prepared.with_name(f".{prepared.name}.parts")
        self._prepared = prepared
        self.placed: dict[str, Figures] = {}
        """Key and figures of every part that was placed, by the name of its file; for the manifest."""
        self._earlier: dict[str, tuple[str, Figures, Figures]] = {}
        self._found: dict[str, tuple[Path, Figures]] = {}
        if (prepared / MANIFEST).is_file():
            try:
                manifest = read_manifest(prepared)
            except DataError:
                return
            for name, part in manifest.get("parts", {}).items():
                if name in manifest["files"]:
                    self._earlier[part["key"]] = name, part["figures"], manifest["files"][name]

    def find(self, key: str) -> tuple[Path, Figures] | None:
        """Return the file and the figures of a part, if it is there and whole."""
        if key not in self._found and (found := self._look_for(key)) is not None:
            self._found[key] = found
        return self._found.get(key)

    def get(self, key: str) -> tuple[Path, Figures]:
        """Return the file and the figures of a part; raise `DataError` if it is not there."""
        found = self.find(key)
        if found is None:
            raise DataError(
                f"a part of the prepared data is missing or damaged in {self._waiting}, although a process of the job "
                "has just made it; all of them must see the same directory"
            )
        return found

    def make(self, key: str, write: Callable[[Path], Figures]) -> None:
        """Make a part that waits to be placed: `write` writes a file and returns the figures."""
        partial, file = self.scratch(f"{key}.partial"), self._waiting / key
        figures = write(partial)
        entry = {"bytes": partial.stat().st_size, "sha256": hash_file(partial), "figures": figures}
        partial.replace(file)
        # The figures say that the file is whole, so they come last.
        write_text(self._waiting / f"{key}.json", json.dumps(entry, ensure_ascii=False))
        self._found[key] = file, figures

    def place(self, key: str, path: Path) -> Figures:
        """Put the part with this key, which is there, at `path`, and return its figures."""
        file, figures = self.get(key)
        _link(file, path)
        self.placed[path.name] = {"key": key, "figures": figures}
        return figures

    def remove(self, key: str) -> None:
        """Delete a part that waits."""
        self._found.pop(key, None)
        (self._waiting / f"{key}.json").unlink(missing_ok=True)
        (self._waiting / key).unlink(missing_ok=True)

    def note(self, key: str, figures: Figures) -> None:
        """Keep figures about what the part with this key is made from, before the part is there."""
        write_text(self.scratch(f"{key}.note"), json.dumps(figures, ensure_ascii=False))

    def noted(self, key: str) -> Figures | None:
        """Return what `note` kept; None if there is nothing."""
        try:
            found: Figures = json.loads((self._waiting / f"{key}.note").read_bytes())
        except (OSError, ValueError):
            return None
        return found

    def scratch(self, name: str) -> Path:
        """Return a path for a file that is of use until all parts are placed."""
        self._waiting.mkdir(parents=True, exist_ok=True)
        return self._waiting / name

    def remove_waiting(self) -> None:
        """Delete the parts that wait; those that were placed remain where they were put."""
        shutil.rmtree(self._waiting, ignore_errors=True)

    def _look_for(self, key: str) -> tuple[Path, Figures] | None:
        file = self._waiting / key
        try:
            entry = json.loads((self._waiting / f"{key}.json").read_bytes())
            if _is_whole(file, entry):
                return file, entry["figures"]
        except (OSError, ValueError, KeyError, TypeError):
            pass
        if key in self._earlier:
            name, figures, entry = self._earlier[key]
            if _is_whole(self._prepared / name, entry):
                return self._prepared / name, figures
        return None


def _is_whole(file: Path, entry: Figures) -> bool:
    if not file.is_file() or file.is_symlink() or file.stat().st_size != entry["bytes"]:
        return False
    return bool(hash_file(file) == entry["sha256"])


def _link(file: Path, path: Path) -> None:
    try:
        os.link(file, path)
    except OSError:  # The file system has no links.
        shutil.copyfile(file, path)
