"""Files that are complete if they exist: written under a new name, synced to disk, renamed.

A new name is `.NAME.0123456789abcdef.partial` in the same directory, with 16 random digits, so that nobody can put a
link in its place beforehand. A process locks what it writes, so that another can tell a crash's leftovers from work.
`directories` does the same for directories, and `outputs` for the files that a user names.
"""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from translator.errors import OutputError
from translator.runtime.console import say
from translator.runtime.lock_holder import describe_holder

PARTIAL = ".partial"
_POLL_SECONDS = 0.05
_PATIENCE_SECONDS = 0.5
_RANDOM = re.compile(r"\.[0-9a-f]{16}$")
LONGEST_NAME = 200
"""Most bytes of a name that its partial file repeats; file systems allow 255 in all."""
# Windows has none of them.
_NO_LINK, _NO_WAIT = getattr(os, "O_NOFOLLOW", 0), getattr(os, "O_NONBLOCK", 0)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file; readers see the old or the new text, never a part."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file; readers see the old or the new bytes, never a part.

    A link at `path` is replaced, not followed. Permissions of a file that was there are kept.
    """
    with new_file(path) as file:
        file.write(data)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to fill, for what is too large for `write_bytes`; at the end of the block it becomes `path`.

    After an error the new file is deleted, and what was at `path` remains.
    """
    remove_leftovers(path)
    partial, descriptor = create_file(path, PARTIAL)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            _keep_permissions(path, descriptor)
            yield file
            file.flush()
            os.fsync(descriptor)
            partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        name_what_was_written(path, error)
        raise
    sync_file(path.parent)


def append_text(path: Path, text: str) -> None:
    """Append to a file, which may be new; raise `OutputError` for anything but a plain file, links included."""
    try:
        # Opening a pipe would wait for its reader.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_LINK | _NO_WAIT, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise OutputError(f"{path} is a link or a pipe, not a file of ours; move it away") from None
        raise
    with os.fdopen(descriptor, "ab", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OutputError(f"{path} is not a plain file; move it away")
        data = memoryview(text.encode("utf-8"))
        try:
            while data:
                data = data[file.write(data) :]
        except OSError as error:
            name_what_was_written(path, error)
            raise


def name_what_was_written(path: Path, error: BaseException) -> None:
    """Say in an error of the system what was being written, if it does not say so itself (a full disk does not)."""
    if isinstance(error, OSError) and error.filename is None and error.strerror is not None:
        error.filename = str(path)


def create_file(path: Path, ending: str) -> tuple[Path, int]:
    """Create the file that will become `path` in the same directory, and lock it; return its path and descriptor."""
    while True:
        partial = hidden_name(path, ending)
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o666)
        # Between these two, another process may have taken the file for a leftover and removed it.
        if try_lock(descriptor) and os.fstat(descriptor).st_nlink:
            return partial, descriptor
        os.close(descriptor)


def hidden_name(path: Path, ending: str) -> Path:
    """Return a new name next to `path` that nobody can guess."""
    return path.with_name(f".{_stem(path.name)}.{secrets.token_hex(8)}{ending}")


def hidden_files(path: Path, ending: str) -> list[Path]:
    """Return the names that `hidden_name` may have given for `path`, if they belong to this user and are no links."""
    start, found = f".{_stem(path.name)}.", []
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            middle = entry.name.removeprefix(start).removesuffix(ending)
            if len(middle) == 16 and entry.name == f"{start}{middle}{ending}" and _RANDOM.match(f".{middle}"):
                found.append(path.parent / entry.name)
    return sorted(file for file in found if is_own(file))


def remove_leftovers(path: Path) -> None:
    """Remove what crashed processes left of writing this file."""
    for leftover in hidden_files(path, PARTIAL):
        if leftover.is_file():
            with contextlib.suppress(OSError), unless_in_use(leftover):
                leftover.unlink(missing_ok=True)


def is_own(path: Path) -> bool:
    """Whether a path is a file or directory of this user, and not a link."""
    try:
        found = path.lstat()
    except OSError:
        return False
    is_plain = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
    return is_plain and (not hasattr(os, "geteuid") or found.st_uid == os.geteuid())


@contextlib.contextmanager
def unless_in_use(path: Path) -> Iterator[None]:
    """Lock a leftover for the block; raise `BlockingIOError` if the process that writes it is alive."""
    descriptor = os.open(path, os.O_RDONLY | _NO_LINK | _NO_WAIT)
    try:
        if not try_lock(descriptor) or not os.path.samestat(os.fstat(descriptor), path.lstat()):
            raise BlockingIOError(errno.EAGAIN, "another process is writing", str(path))
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Let one process at a time enter this block for a directory or file.

    If another process is inside for longer than a moment, say for whom we wait, or raise `BlockingIOError`. The lock
    ends with the process, however it ends.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        holder, patience = "", _PATIENCE_SECONDS
        while not try_lock(descriptor):
            # A moment is what it takes another process to look whether the lock is free.
            if not wait and patience < 0:
                raise BlockingIOError(errno.EAGAIN, "another process holds the lock", str(path))
            time.sleep(_POLL_SECONDS)
            patience -= _POLL_SECONDS
            # Whoever waits longest need not be next, so that the one to wait for may change.
            if wait and patience < 0 and (found := describe_holder(path)) != holder:
                holder = found
                say(f"waiting for {holder}, which is at work in {path}")
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock an open file or directory until it is closed; return False if another process has locked it."""
    try:
        import fcntl
    except ImportError:  # Windows has no such lock.
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
        # A file system without locks; what is lost is only the protection against others.
    return True


def sync_file(path: Path) -> None:
    """Sync to disk what was written to a file, or which names are in a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stem(name: str) -> str:
    """Shorten a name that would leave no room for the random digits; what was cut off counts by its hash."""
    encoded = os.fsencode(name)
    if len(encoded) <= LONGEST_NAME:
        return name
    kept = encoded[: LONGEST_NAME - 20].decode("utf-8", "ignore")
    return f"{kept}~{hashlib.sha256(encoded).hexdigest()[:16]}"


def _keep_permissions(path: Path, descriptor: int) -> None:
    """Give a new file the permissions of the plain file that it replaces."""
    with contextlib.suppress(OSError):
        found = path.lstat()
        if stat.S_ISREG(found.st_mode):
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & 0o777)
