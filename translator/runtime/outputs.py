"""Files that a user names for results: checked before the work begins, then written whole, or as a stream.

A link is followed: what it leads to is replaced. Pipes and devices are written to as a stream.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from translator.errors import DataError, OutputError, ReaderGoneError
from translator.runtime.files import new_file, write_bytes

_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d{1,6})")


def check_output(
    path: Path, endings: Sequence[str] = (), *, inputs: Iterable[Path] = (), makes_parents: bool = True
) -> None:
    """Check, before the work begins, that `path` can be written and is none of the `inputs`.

    An input is a file, `-` for stdin, or a directory, in which nothing may be written. With `makes_parents`,
    directories above `path` need not exist. Raises `DataError` if the name ends in none of `endings` (in lower case),
    and `OutputError` for anything else.
    """
    if endings and path.suffix.lower() not in endings:
        raise DataError(f"{path}: expected a file name that ends in {', '.join(endings)}")
    if is_stream(path):
        if not os.access(path, os.W_OK):
            raise _cannot_write(path, "no permission to write to it")
        return
    try:
        found = _find(path)
        if found is not None and stat.S_ISDIR(found.st_mode):
            raise _cannot_write(path, "it is a directory")
        if found is not None and not stat.S_ISREG(found.st_mode):
            raise _cannot_write(path, "it is neither a file nor a pipe")
        _check_parents(path, makes_parents)
        if found is not None and not os.access(path, os.W_OK):
            raise _cannot_write(path, "it is write-protected")
        for source in inputs:
            _refuse_input(path, found, source)
    except (OSError, RuntimeError) as error:
        # The working directory may have been deleted, a name be too long, or links lead in a circle.
        raise _cannot_write(path, getattr(error, "strerror", None) or str(error)) from None


def write_output(path: Path, data: bytes) -> Path:
    """Write a whole file, creating its directories, and return its path; raise `OutputError` if that fails."""
    if is_stream(path):
        stream = OutputStream(path)
        stream.write(data)
        stream.close()
        return path
    try:
        target = real_path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target, data)
    except (OSError, RuntimeError) as error:
        raise _cannot_write(path, getattr(error, "strerror", None) or str(error)) from None
    return path


@contextlib.contextmanager
def new_output(path: Path) -> Iterator[BinaryIO | OutputStream]:
    """Yield a file to fill, as `write_output` writes one at once; at the end of the block it becomes `path`.

    After an error, what was at `path` remains. Raises `OutputError` if it cannot be written.
    """
    if is_stream(path):
        stream = OutputStream(path)
        yield stream
        stream.close()
        return
    try:
        target = real_path(path)
    except (OSError, RuntimeError) as error:
        raise _cannot_write(path, getattr(error, "strerror", None) or str(error)) from None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with new_file(target) as file:
            yield file
    except OSError as error:
        raise _cannot_write(path, error.strerror or str(error)) from None


def is_stream(path: Path) -> bool:
    """Whether what is written to `path` cannot be a file that appears when it is complete: a pipe, a device, stdout."""
    if _descriptor(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def real_path(path: Path) -> Path:
    """Follow a link to what it leads to, which may not exist yet; raise `OSError` or `RuntimeError` for a circle."""
    return path.resolve() if path.is_symlink() else path


class OutputStream:
    """A pipe, device or open descriptor to write to.

    Raises `ReaderGoneError` if the reader has stopped, and `OutputError` for all else that stops a writer.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            descriptor = _descriptor(path)
            # Opening by its name would write a file from its beginning again, whatever it holds.
            opened = os.dup(descriptor) if descriptor is not None else os.open(path, os.O_WRONLY)
            self._file = io.FileIO(opened, "wb")
        except OSError as error:
            raise _cannot_write(path, error.strerror or str(error)) from None

    def write(self, data: bytes) -> int:
        """Write all of `data` at once: whoever reads may be waiting for it."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except BrokenPipeError:
            raise ReaderGoneError(f"the reader of {self._path} has gone") from None
        except OSError as error:
            raise _cannot_write(self._path, error.strerror or str(error)) from None
        return len(data)

    def flush(self) -> None:
        """Do nothing: there is no buffer."""

    def close(self) -> None:
        """Let the reader see the end."""
        self._file.close()


def _find(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _check_parents(path: Path, may_be_made: bool) -> None:
    target = real_path(path).absolute()
    existing = next(directory for directory in target.parents if directory.exists())
    if not existing.is_dir():
        raise _cannot_write(path, f"{existing} is not a directory")
    if existing != target.parent and not may_be_made:
        raise _cannot_write(path, f"there is no directory {target.parent}")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise _cannot_write(path, f"no permission to write in {existing}")


def _refuse_input(path: Path, found: os.stat_result | None, source: Path) -> None:
    """Raise `OutputError` if an output is the input `source` under any name, or inside it."""
    if str(source) == "-":
        with contextlib.suppress(OSError, ValueError, AttributeError):  # Closed, or no file at all.
            if found is not None and os.path.samestat(found, os.fstat(sys.stdin.fileno())):
                raise _cannot_write(path, "it is read as input")
        return
    target, read = path.resolve(), source.resolve()
    given = _find(source)
    if target == read or (found is not None and given is not None and os.path.samestat(found, given)):
        raise _cannot_write(path, f"it is the input {source}")
    if target.is_relative_to(read):
        raise _cannot_write(path, f"{source} is read, and nothing is written there")


def _descriptor(path: Path) -> int | None:
    """Return the descriptor that a name such as /dev/stdout or /dev/fd/3 stands for."""
    name = str(path)
    match = _DESCRIPTOR.fullmatch(name)
    return int(match[1]) if match else _STREAMS.get(name)


def _cannot_write(path: Path, reason: str) -> OutputError:
    return OutputError(f"{path} cannot be written ({reason}); choose another path with --output")
