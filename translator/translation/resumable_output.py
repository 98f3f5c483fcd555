"""Where translated lines go: a stream, or a file that is complete if it exists and resumes after an interruption."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from translator.errors import DataError
from translator.runtime.console import ResultStream, say, warn
from translator.runtime.files import locked, sync_file, write_text
from translator.runtime.json_files import read_json
from translator.runtime.lock_holder import describe_holder
from translator.runtime.termination import exit_on_termination

_SYNC_SECONDS = 1.0
_NOTE = {"lines": int, "bytes": int, "digest": str, "made_with": {str: object}}


class Output:
    """Writes to a stream what belongs to each line, and counts the lines."""

    def __init__(self, stream: BinaryIO | ResultStream) -> None:
        self.lines = 0
        """Lines whose translation has been written."""
        self._stream = stream

    def write(self, source: str, text: str) -> None:
        """Write the `text` that belongs to the next line, `source`, and a line feed."""
        self._stream.write(text.encode("utf-8", "replace") + b"\n")
        self.lines += 1

    def flush(self) -> None:
        """Pass on what was written to whoever reads it."""
        self._stream.flush()


class ResumableOutput(Output):
    """Writes to a file next to `path` and renames it at the end; after an interruption it resumes after what it kept.

    `.NAME.partial` contains the text; `.NAME.partial.json` notes how much of it belongs to how many lines, a digest of
    those lines, and what the translations were made with. Use `open_output`.
    """

    def __init__(self, path: Path, stream: BinaryIO, made_with: dict[str, Any]) -> None:
        super().__init__(stream)
        self._stream: BinaryIO = stream
        self._path, self._made_with = path, made_with
        self._digest = hashlib.blake2b(digest_size=16)
        self._noted = time.monotonic()
        self.is_ready = False
        """Whether the stream is at the byte where writing continues, so that a note of it is true."""

    def resume(self, sources: Iterator[str]) -> None:
        """Take the lines that are done from `sources`; raise `DataError` if they are not the same lines."""
        note = self._read_note()
        if note is None:
            self._stream.truncate(0)
            self.is_ready = True
            return
        for source in sources:
            self._digest.update(source.encode("utf-8", "surrogatepass") + b"\n")
            self.lines += 1
            if self.lines == note["lines"]:
                break
        if note["lines"] and (self.lines, self._digest.hexdigest()) != (note["lines"], note["digest"]):
            raise DataError(
                f"the first {note['lines']:,} lines of the input are not those that {partial_path(self._path)} was "
                "made from; give the same input again, or remove that file to start again"
            )
        # What was written after the last note is written again.
        self._stream.truncate(note["bytes"])
        self._stream.seek(note["bytes"])
        self.is_ready = True

    def write(self, source: str, text: str) -> None:
        """See `Output`."""
        super().write(source, text)
        self._digest.update(source.encode("utf-8", "surrogatepass") + b"\n")

    def flush(self) -> None:
        """See `Output`; about once a second, note how far the file has come."""
        super().flush()
        if time.monotonic() - self._noted >= _SYNC_SECONDS:
            self.note()

    def note(self) -> None:
        """Make sure that what was written is on the disk, then note how far the file has come."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        note = {
            "lines": self.lines,
            "bytes": self._stream.tell(),
            "digest": self._digest.hexdigest(),
            "made_with": self._made_with,
        }
        write_text(note_path(self._path), json.dumps(note, ensure_ascii=False, indent=1) + "\n")
        self._noted = time.monotonic()

    def finish(self) -> None:
        """Give the file its name."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        partial_path(self._path).replace(self._path)
        sync_file(self._path.parent)
        note_path(self._path).unlink(missing_ok=True)

    def _read_note(self) -> dict[str, Any] | None:
        """Return the note of the interrupted call that this one resumes; None if there is nothing to resume."""
        file = note_path(self._path)
        try:
            note: dict[str, Any] = read_json(file, _NOTE, DataError, "beginning again")
        except FileNotFoundError:
            return None
        except DataError as error:
            warn(str(error))
            return None
        size, lines, made_with = note["bytes"], note["lines"], note["made_with"]
        if min(size, lines) < 0 or size > os.fstat(self._stream.fileno()).st_size:
            return None
        # In the form that values have after writing and reading JSON.
        ours = json.loads(json.dumps(self._made_with))
        changed = [name for name in {**made_with, **ours} if made_with.get(name) != ours.get(name)]
        if changed:
            differences = ", ".join(
                f"{name} {made_with.get(name)} and now {ours.get(name)}" for name in sorted(changed)
            )
            raise DataError(
                f"{partial_path(self._path)} holds {lines:,} lines that were translated otherwise ({differences}); "
                "repeat that command to resume it, or remove the file to start again"
            )
        return note


@contextlib.contextmanager
def open_output(path: Path, made_with: dict[str, Any]) -> Iterator[ResumableOutput]:
    """Open a file of translations; it gets its name when the block ends well.

    `made_with` is everything that must be the same to resume an interrupted file. Raises `DataError` if the file cannot
    be written, or another process is writing it.
    """
    partial = partial_path(path)
    try:
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from None
    try:
        with os.fdopen(descriptor, "r+b") as stream, contextlib.ExitStack() as lock, exit_on_termination():
            try:
                lock.enter_context(locked(partial, wait=False))
            except BlockingIOError:
                holder = describe_holder(partial)
                raise DataError(f"{holder} is writing {path}; wait for it, or choose another name") from None
            output = ResumableOutput(path, stream, made_with)
            try:
                yield output
            except BaseException:
                # Does not run after a kill; then the last note counts.
                if output.lines and output.is_ready and _is_noted(output):
                    say(f"{output.lines:,} lines of {path} are kept; the same command resumes after them")
                elif os.fstat(descriptor).st_size == 0:
                    partial.unlink()
                raise
            output.finish()
    except OSError as error:
        raise DataError(
            f"cannot write {path}: {error.strerror or error}; what is complete of it is kept in {partial}, and the "
            "same command continues from there"
        ) from None


def _is_noted(output: ResumableOutput) -> bool:
    """Note how far the output has come, and return whether that worked; if not, the previous note still holds."""
    try:
        output.note()
    except OSError:
        return False
    return True


def partial_path(path: Path) -> Path:
    """Return where a file of translations is kept while it is being written."""
    return path.with_name(f".{path.name}.partial")


def note_path(path: Path) -> Path:
    """Return where it is noted how far a file of translations has come."""
    return path.with_name(f".{path.name}.partial.json")
