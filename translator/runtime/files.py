"""Files and directories that are complete if they exist: written beside, synced to disk, renamed."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_PARTIAL = ".partial"


@contextlib.contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Give a directory to fill; it appears as `path`, replacing what stood there, when the block ends well.

    After an error nothing is left, and after a crash only a name that begins with a dot (`remove_partial`).
    """
    partial = path.with_name(f".{path.name}{_PARTIAL}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        for file in sorted(partial.rglob("*")):
            _sync(file)
        _sync(partial)
        if path.exists():
            # A rename cannot replace a directory that holds files; the old one must go first.
            doomed = path.with_name(f".{path.name}.old{_PARTIAL}")
            shutil.rmtree(doomed, ignore_errors=True)
            path.rename(doomed)
            partial.rename(path)
            shutil.rmtree(doomed, ignore_errors=True)
        else:
            partial.rename(path)
        _sync(path.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a whole text file; readers see the old or the new text, never a part."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file; readers see the old or the new bytes, never a part."""
    partial = path.with_name(f".{path.name}{_PARTIAL}")
    partial.write_bytes(data)
    _sync(partial)
    partial.replace(path)


def remove_partial(parent: Path) -> list[Path]:
    """Remove what interrupted writes left in a directory; return it."""
    leftovers = sorted(parent.glob(f".*{_PARTIAL}"))
    for leftover in leftovers:
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
    return leftovers


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
