"""A directory of shards, which any number of processes on any number of machines fill together.

They need not know of each other: each goes through the shards in order and takes those that are neither complete nor
locked by a living process. A shard is written under a hidden name and renamed when it is complete, and what is in it
depends on the request alone, so that a process that is killed loses its shard and nothing else.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from translator.errors import DataError, OutputError
from translator.runtime.counted import counted
from translator.runtime.files import PARTIAL, hidden_files, locked, new_file, unless_in_use, write_text
from translator.runtime.json_files import read_json
from translator.text.formats.synthetic import ENDING, MANIFEST, REQUEST, shard_name

_SHOWN = 3
_LONGEST_SHOWN = 60


class ShardDirectory:
    """The shards of one request."""

    def __init__(self, path: Path, request: dict[str, Any]) -> None:
        """Create the directory, or open one with the same request.

        Raises `OutputError` if it holds something else, and `DataError` if it was begun with another request.
        """
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            with locked(path):
                self._begin(request)
        except OSError as error:
            raise OutputError(
                f"{path} cannot be written ({error.strerror or error}); choose another directory"
            ) from None

    def _begin(self, request: dict[str, Any]) -> None:
        # In the form that values have after writing and reading JSON.
        ours = json.loads(json.dumps(request))
        try:
            theirs = read_json(self.path / REQUEST, {str: object}, DataError, "name another directory")
        except FileNotFoundError:
            if foreign := sorted(entry.name for entry in self.path.iterdir() if not entry.name.endswith(PARTIAL)):
                listed = ", ".join(foreign[:_SHOWN]) + (", ..." if foreign[_SHOWN:] else "")
                raise OutputError(
                    f"{self.path} holds what this command did not write ({listed}); name a new directory"
                ) from None
            write_text(self.path / REQUEST, json.dumps(ours, ensure_ascii=False, indent=1) + "\n")
            return
        if theirs != ours:
            changed = sorted(name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name))
            differences = "; ".join(_difference(name, theirs.get(name), ours.get(name)) for name in changed)
            raise DataError(
                f"{self.path} holds {counted(self.complete(), 'shard that was', 'shards that were')} made otherwise "
                f"({differences}); repeat that command to continue it, or name another directory"
            )

    def complete(self) -> int:
        """Count the shards that are complete."""
        return sum(1 for entry in self.path.iterdir() if entry.name.startswith("part-") and entry.name.endswith(ENDING))

    def has(self, index: int) -> bool:
        """Whether a shard is complete."""
        return (self.path / shard_name(index)).exists()

    def in_work(self, index: int) -> bool:
        """Whether a living process is writing a shard."""
        for partial in hidden_files(self.path / shard_name(index), PARTIAL):
            try:
                with unless_in_use(partial):
                    pass
            except BlockingIOError:
                return True
            except FileNotFoundError:
                continue
        return False

    @contextlib.contextmanager
    def claim(self, index: int) -> Iterator[BinaryIO | None]:
        """Yield a file to fill, which becomes the shard at the end of the block; None if it is not ours to fill."""
        shard = self.path / shard_name(index)
        with contextlib.ExitStack() as stack:
            file = None
            if not shard.exists():
                with locked(self.path):
                    if not shard.exists() and not self.in_work(index):
                        file = stack.enter_context(new_file(shard))
            yield file

    def write_manifest(self, content: dict[str, Any]) -> None:
        """Write the manifest, after which the directory is a corpus."""
        write_text(self.path / MANIFEST, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def _difference(name: str, theirs: Any, ours: Any) -> str:
    """Say how two requests differ; of lines and models, only hashes are known."""
    is_hash = any(isinstance(value, list) or len(str(value)) > _LONGEST_SHOWN for value in (theirs, ours))
    return f"other {name}" if is_hash else f"{name}: {theirs}, and now {ours}"
