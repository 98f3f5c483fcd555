"""Files and directories that are complete if they exist: written beside, synced to disk, renamed."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from translator.errors import DataError, TranslatorError


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


_PARTIAL = ".partial"
_REPLACED = ".old.partial"


@contextlib.contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Give a directory to fill; it appears as `path`, replacing what stood there, when the block ends well.

    After an error nothing is left of it, and what stood there still does. A crash leaves only names that begin with a
    dot, which `remove_partial` removes, or puts back where the crash fell between the two renames of a replacement.
    """
    partial, replaced = _beside(path, _PARTIAL), _beside(path, _REPLACED)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        for file in sorted(partial.rglob("*")):
            sync_file(file)
        sync_file(partial)
        if path.exists():
            # A rename cannot replace a directory that holds files; the old one must go first.
            shutil.rmtree(replaced, ignore_errors=True)
            path.rename(replaced)
        partial.rename(path)
        sync_file(path.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        _put_back(path)
        shutil.rmtree(replaced, ignore_errors=True)


def remove_directory(path: Path) -> None:
    """Delete a directory; it stops existing under its name before its files go."""
    doomed = _beside(path, _PARTIAL)
    shutil.rmtree(doomed, ignore_errors=True)
    path.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file; readers see the old or the new text, never a part."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file; readers see the old or the new bytes, never a part."""
    partial = _beside(path, _PARTIAL)
    try:
        partial.write_bytes(data)
        sync_file(partial)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_file(path.parent)


def remove_partial(parent: Path) -> list[Path]:
    """Remove what interrupted writes left in a directory, and return it; what was being replaced is put back."""
    for replaced in parent.glob(f".*{_REPLACED}"):
        _put_back(parent / replaced.name[1:].removesuffix(_REPLACED))
    leftovers = sorted(parent.glob(f".*{_PARTIAL}"))
    for leftover in leftovers:
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
    return leftovers


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Let one process at a time be in this block for a directory or file; its end, however it comes, opens the lock.

    Where another is in it, wait, or raise `BlockingIOError`.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no such lock.
        yield
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f".{path.name}{ending}")


def _put_back(path: Path) -> None:
    """Undo the first rename of a replacement whose second one never came."""
    replaced = _beside(path, _REPLACED)
    if replaced.is_dir() and not path.exists():
        replaced.rename(path)


def sync_file(path: Path) -> None:
    """Put on the disk what was written to a file, or which names are in a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
