"""Files and directories that are complete if they exist: written under another name, synced to disk, renamed."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from translator.errors import DataError, TranslatorError
from translator.runtime.console import say
from translator.runtime.lock_holder import describe_holder


def check_output(path: Path, endings: Sequence[str]) -> None:
    """Check, before the work begins, that `path` can be written.

    Raises `DataError` if the name ends in none of `endings` (in lower case), and `TranslatorError` if it is a
    directory, a path below a file, or in a directory without write permission.
    """
    if path.suffix.lower() not in endings:
        raise DataError(f"{path}: expected a file name that ends in {', '.join(endings)}")
    if path.is_dir():
        raise _cannot_write(path, "it is a directory")
    try:
        parent = next(directory for directory in path.absolute().parents if directory.exists())
    except OSError as error:  # The working directory may have been deleted, or a name is too long.
        raise _cannot_write(path, error.strerror or str(error)) from None
    if not parent.is_dir():
        raise _cannot_write(path, f"{parent} is not a directory")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise _cannot_write(path, f"no permission to write in {parent}")


def write_output(path: Path, data: bytes) -> Path:
    """Write a whole file, creating its directories, and return its path; raise `TranslatorError` if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, data)
    except OSError as error:
        raise _cannot_write(path, error.strerror or str(error)) from None
    return path


def _cannot_write(path: Path, reason: str) -> TranslatorError:
    return TranslatorError(f"{path} cannot be written ({reason}); choose another path with --output")


_POLL_SECONDS = 0.05
_PATIENCE_SECONDS = 0.5
_PARTIAL = ".partial"
_REPLACED = ".old.partial"


@contextlib.contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Yield a directory to fill; at the end of the block it becomes `path` and replaces what was there.

    After an error it is deleted, and what was at `path` remains. A crash leaves only names that begin with a dot;
    `remove_partial` removes them, or restores the old directory if the crash came between the two renames.
    """
    partial, replaced = _hidden(path, _PARTIAL), _hidden(path, _REPLACED)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        for file in sorted(partial.rglob("*")):
            sync_file(file)
        sync_file(partial)
        if path.exists():
            # A rename cannot replace a directory that has files; the old one must be renamed first.
            shutil.rmtree(replaced, ignore_errors=True)
            path.rename(replaced)
        partial.rename(path)
        sync_file(path.parent)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        _name(path, error)
        raise
    finally:
        _restore(path)
        shutil.rmtree(replaced, ignore_errors=True)


def remove_directory(path: Path) -> None:
    """Delete a directory; it is renamed before its files are deleted, so that nobody sees a part of it."""
    doomed = _hidden(path, _PARTIAL)
    shutil.rmtree(doomed, ignore_errors=True)
    path.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file; readers see the old or the new text, never a part."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file; readers see the old or the new bytes, never a part."""
    partial = _hidden(path, _PARTIAL)
    try:
        partial.write_bytes(data)
        sync_file(partial)
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        _name(path, error)
        raise
    sync_file(path.parent)


def _name(path: Path, error: BaseException) -> None:
    """Say in an error of the system what was being written, if it does not say so itself (a full disk does not)."""
    if isinstance(error, OSError) and error.filename is None and error.strerror is not None:
        error.filename = str(path)


def remove_partial(parent: Path) -> list[Path]:
    """Remove what interrupted writes left in a directory, and return the paths; restore what was being replaced."""
    for replaced in parent.glob(f".*{_REPLACED}"):
        _restore(parent / replaced.name[1:].removesuffix(_REPLACED))
    leftovers = sorted(parent.glob(f".*{_PARTIAL}"))
    for leftover in leftovers:
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
    return leftovers


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Let one process at a time enter this block for a directory or file.

    If another process is inside for longer than a moment, say for whom we wait, or raise `BlockingIOError`. The lock
    ends with the process, however it ends.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no such lock.
        yield
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        holder, patience = "", _PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                # A moment is what it takes another process to look whether the lock is free.
                if not wait and patience < 0:
                    raise
            time.sleep(_POLL_SECONDS)
            patience -= _POLL_SECONDS
            # Whoever waits longest need not be next, so that the one to wait for may change.
            if wait and patience < 0 and (found := describe_holder(path)) != holder:
                holder = found
                say(f"waiting for {holder}, which is at work in {path}")
        yield
    finally:
        os.close(descriptor)


def _hidden(path: Path, ending: str) -> Path:
    return path.with_name(f".{path.name}{ending}")


def _restore(path: Path) -> None:
    """Undo the first rename of a replacement if the second one did not happen."""
    replaced = _hidden(path, _REPLACED)
    if replaced.is_dir() and not path.exists():
        replaced.rename(path)


def sync_file(path: Path) -> None:
    """Sync to disk what was written to a file, or which names are in a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
