"""Where translated lines go: a stream, or a file that is complete if it exists and resumes where it was interrupted."""

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from translator.errors import DataError
from translator.runtime.console import ResultStream, say
from translator.runtime.counted import counted
from translator.runtime.files import locked, sync_file, write_text
from translator.runtime.outputs import OutputStream, real_path
from translator.runtime.termination import exit_on_termination
from translator.translation.unfinished import Note, Unfinished, claim

_SYNC_SECONDS = 1.0
_BUFFER_BYTES = 1 << 13


class Output:
    """Writes to a stream what belongs to each line, and counts."""

    def __init__(self, stream: ResultStream | OutputStream) -> None:
        self._stream = stream
        self._lines = 0

    @property
    def lines(self) -> int:
        """Lines whose translation is written."""
        return self._lines

    def write(self, source: str, text: str) -> None:
        """Write what belongs to the next line, `source`; `text` lacks its last line feed."""
        self._stream.write(_encode(text))
        self._lines += 1

    def flush(self) -> None:
        """Let readers have what was written."""
        self._stream.flush()


class _Done(NamedTuple):
    """What is written, replaced as a whole after each line, so that an interruption finds it consistent."""

    lines: int
    size: int
    sources: Any
    """Hash object of the lines that were read."""
    text: Any
    """Hash object of the text that was written."""

    def after(self, source: str, text: bytes) -> "_Done":
        sources, texts = self.sources.copy(), self.text.copy()
        sources.update(_encode_source(source))
        texts.update(text)
        return _Done(self.lines + 1, self.size + len(text), sources, texts)


class ResumableOutput:
    """Writes an unfinished file next to `path` and renames it at the end. Use `open_output`.

    It begins to write after `resume` only; until then, nothing on the disk changes.
    """

    def __init__(self, path: Path, unfinished: Unfinished, made_with: dict[str, Any]) -> None:
        self._path, self._unfinished, self._made_with = path, unfinished, made_with
        self._done: _Done | None = None
        self._pending = (0, b"")
        """Where the text that is not written yet begins in the file, and the text; replaced as a whole, too."""
        self._noted = time.monotonic()
        self._noted_lines = unfinished.note.lines if unfinished.note is not None else 0

    @property
    def lines(self) -> int:
        """Lines whose translation is written; 0 before `resume`."""
        return self._done.lines if self._done is not None else 0

    def resume(self, sources: Iterator[str]) -> None:
        """Take the lines that are done from `sources`; raise `DataError` if they are not the same lines."""
        done = _Done(0, 0, hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16))
        note = self._unfinished.note
        if note is not None:
            done = self._match(sources, note, done.sources)
        # What was written after the last note is written again.
        os.ftruncate(self._unfinished.descriptor, done.size)
        self._pending = (done.size, b"")
        self._done = done

    def _match(self, sources: Iterator[str], note: Note, digest: Any) -> _Done:
        lines = 0
        while lines < note.lines and (source := next(sources, None)) is not None:
            digest.update(_encode_source(source))
            lines += 1
        if (lines, digest.hexdigest()) != (note.lines, note.sources):
            raise DataError(
                f"the first {counted(note.lines, 'line')} of the input {'is' if note.lines == 1 else 'are'} not those "
                f"that {self._unfinished.path} was made from; give the same input again, or remove that file to start "
                "again"
            )
        return _Done(lines, note.size, digest, self._unfinished.text_digest)

    def write(self, source: str, text: str) -> None:
        """See `Output`."""
        assert self._done is not None
        data = _encode(text)
        start, rest = self._pending
        self._pending = (start, rest + data)
        self._done = self._done.after(source, data)
        if len(rest) >= _BUFFER_BYTES:
            self._drain()

    def flush(self) -> None:
        """See `Output`; about once a second, note how far the file has come."""
        self._drain()
        if time.monotonic() - self._noted >= _SYNC_SECONDS:
            self.note()

    def note(self) -> None:
        """Make sure that what was written is on the disk, then note how far the file has come."""
        done = self._done
        assert done is not None
        self._drain()
        os.fsync(self._unfinished.descriptor)
        note = Note(done.lines, done.size, done.sources.hexdigest(), done.text.hexdigest(), self._made_with)
        write_text(self._unfinished.note_path, json.dumps(note._asdict(), ensure_ascii=False, indent=1) + "\n")
        self._noted, self._noted_lines = time.monotonic(), done.lines

    def keep(self) -> int:
        """After an interruption, note how far the file has come; return how many lines are kept."""
        if self._done is not None and self._done.lines:
            with contextlib.suppress(OSError):  # A full disk: the note before still holds.
                self.note()
        return self._noted_lines

    def finish(self) -> None:
        """Give the file its name."""
        self._drain()
        os.fsync(self._unfinished.descriptor)
        with contextlib.suppress(OSError):
            os.fchmod(self._unfinished.descriptor, stat.S_IMODE(self._path.stat().st_mode) & 0o777)
        self._unfinished.path.replace(self._path)
        sync_file(self._path.parent)
        self._unfinished.remove_notes(self._path)

    def _drain(self) -> None:
        start, rest = self._pending
        while rest:
            written = os.pwrite(self._unfinished.descriptor, rest, start)
            start, rest = start + written, rest[written:]
            # After an interruption before this line, the same bytes are written to the same place again.
            self._pending = (start, rest)


@contextlib.contextmanager
def open_output(path: Path, made_with: dict[str, Any]) -> Iterator[ResumableOutput]:
    """Open a file of translations; it gets its name when the block ends well. A link is followed.

    `made_with` is everything that must be the same to resume an interrupted file. Raises `DataError` if the file cannot
    be written, another process is writing it, or it was begun in another way; then nothing is changed.
    """
    with contextlib.ExitStack() as stack:
        try:
            target = real_path(path)
            with _turn(target.parent):
                unfinished = stack.enter_context(contextlib.closing(claim(target, made_with)))
        except (OSError, RuntimeError) as error:
            raise DataError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None
        output = ResumableOutput(target, unfinished, made_with)
        try:
            stack.enter_context(exit_on_termination())
            try:
                yield output
            except BaseException:
                # Does not run after a kill; then the last note counts.
                if kept := output.keep():
                    say(
                        f"{counted(kept, 'line')} of {path} {'is' if kept == 1 else 'are'} kept; the same command "
                        "resumes there"
                    )
                else:
                    unfinished.remove()
                raise
            output.finish()
        except OSError as error:
            raise DataError(
                f"cannot write {path}: {error.strerror or error}; what is complete of it is kept in "
                f"{unfinished.path}, and the same command continues from there"
            ) from None


@contextlib.contextmanager
def _turn(directory: Path) -> Iterator[None]:
    """Let one process at a time look for interrupted files; not if the directory is locked for something longer."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(locked(directory, wait=False))
        yield


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "replace") + b"\n"


def _encode_source(source: str) -> bytes:
    return source.encode("utf-8", "surrogatepass") + b"\n"
