"""Directories that are complete if they exist, and that replace only what we wrote ourselves."""

import contextlib
import ctypes
import errno
import os
import re
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath

from translator.errors import OutputError
from translator.runtime.files import (
    LONGEST_NAME,
    PARTIAL,
    hidden_name,
    is_own,
    name_what_was_written,
    sync_file,
    try_lock,
    unless_in_use,
)

Contents = Callable[[Path], Collection[str]]
"""Returns the paths of the files inside a directory if we wrote it, by its own list of them; none if we did not."""

DAMAGED = "damaged-"
"""How the name of what was set aside begins."""
_REPLACED = ".old.partial"
_NAME_OF_REPLACED = re.compile(r"\.(.+?)(?:\.[0-9a-f]{16})?\.old\.partial", re.DOTALL)
_SHOWN = 3


def nothing(path: Path) -> Collection[str]:
    """`Contents` of what may not be replaced unless it is empty."""
    return ()


@contextlib.contextmanager
def new_directory(path: Path, contents: Contents = nothing) -> Iterator[Path]:
    """Yield a directory to fill; at the end of the block it becomes `path` and replaces what was there.

    Only an empty directory, or one whose files are all in its `contents`, is replaced; otherwise `OutputError` is
    raised before the block. After an error the new directory is deleted, and what was at `path` remains. A crash
    leaves only names that begin with a dot; `remove_partial`, or the next writing of `path`, removes them, or restores
    the old directory if the crash came between the two renames.
    """
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise OutputError(f"{path}: the name is longer than {LONGEST_NAME} bytes; choose a shorter one")
    if path.name:
        remove_partial(path.parent, path.name)
    refuse_foreign(path, contents)
    partial, descriptor = _create(path)
    try:
        yield partial
        for file in sorted(partial.rglob("*")):
            sync_file(file)
        sync_file(partial)
        if os.path.lexists(path):
            refuse_foreign(path, contents)
            _replace(path, partial)
        else:
            partial.rename(path)
        sync_file(path.parent)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        name_what_was_written(path, error)
        raise
    finally:
        os.close(descriptor)


def refuse_foreign(path: Path, contents: Contents = nothing) -> None:
    """Raise `OutputError` unless `path` is free, an empty directory, or a directory of ours and nothing else."""
    if path.name in ("", "..") or (path.is_dir() and path.samefile(os.curdir)):
        raise OutputError(f"{path} is the working directory or has no name of its own; name a new directory")
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_dir():
        what = f"a link to {os.readlink(path)}" if path.is_symlink() else "no directory"
        raise OutputError(f"{path} is {what}, so it is not replaced; move it away or choose another name")
    if foreign := foreign_names(path, contents):
        listed = ", ".join(foreign[:_SHOWN]) + (f" and {len(foreign) - _SHOWN:,} more" if foreign[_SHOWN:] else "")
        raise OutputError(
            f"{path} holds what we did not write ({listed}), so it is not replaced; move that away or choose another "
            "name"
        )


def foreign_names(path: Path, contents: Contents) -> list[str]:
    """Return the files and directories inside a directory that are not in its list of contents."""
    if not any(path.iterdir()):
        return []
    listed = set(contents(path))
    parents = {str(parent) for name in listed for parent in PurePosixPath(name).parents}
    foreign = []
    for folder, directories, files in os.walk(path):
        relative = Path(folder).relative_to(path)
        foreign += [name for name in ((relative / file).as_posix() for file in files) if name not in listed]
        for directory in list(directories):
            name = (relative / directory).as_posix()
            if name not in parents or (path / name).is_symlink():
                foreign.append(name)
                directories.remove(directory)
    return sorted(foreign)


def remove_directory(path: Path) -> None:
    """Delete a directory; it is renamed before its files are deleted, so that nobody sees a part of it."""
    if path.is_symlink():
        path.unlink()
        return
    doomed = hidden_name(path, PARTIAL)
    path.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def remove_partial(parent: Path, name: str | None = None) -> list[Path]:
    """Remove what interrupted writes left in a directory of ours, and return the paths.

    What was being replaced when a process died is restored. With a `name`, only what belongs to that directory. What
    a living process is writing, and what belongs to another user, is left alone.
    """
    for replaced in _leftovers(parent, _REPLACED, name):
        match = _NAME_OF_REPLACED.fullmatch(replaced.name)
        if match and not os.path.lexists(parent / match[1]):
            with contextlib.suppress(OSError), unless_in_use(replaced):
                replaced.rename(parent / match[1])
    removed = []
    for leftover in _leftovers(parent, PARTIAL, name):
        with contextlib.suppress(OSError), unless_in_use(leftover):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
            removed.append(leftover)
    return removed


def set_aside(path: Path) -> Path:
    """Rename what is damaged to `damaged-NAME`, and return the new path."""
    aside, count = path.with_name(f"{DAMAGED}{path.name}"), 1
    while os.path.lexists(aside):
        count += 1
        aside = path.with_name(f"{DAMAGED}{path.name}-{count}")
    path.rename(aside)
    return aside


def refuse_links(root: Path, paths: Iterable[Path]) -> None:
    """Raise `OutputError` if one of `paths` inside `root` is a link that leads out of it.

    Whoever made the directory could otherwise have us write wherever we may.
    """
    inside = root.resolve()
    for path in paths:
        try:
            leads_out = not path.resolve().is_relative_to(inside)
        except (OSError, RuntimeError):  # Links in a circle.
            leads_out = True
        if leads_out:
            raise OutputError(
                f"{path} is a link that leads out of {root}, so nothing is written there; replace it by a directory "
                "or file, or move all of the run to where the link leads"
            )


def find_special(root: Path, folders: Iterable[str]) -> Path | None:
    """Return a named pipe, socket or device in `root`, in these `folders` of it, or in their directories.

    Opening a pipe may never end, nor reading a device; a link to one is no better. Links to nothing do not count.
    """
    own = [root / name for name in folders]
    for folder in (root, *own, *(path for each in own for path in _entries(each) if path.is_dir())):
        for path in _entries(folder):
            if path.exists() and not path.is_file() and not path.is_dir():
                return path
    return None


def _entries(folder: Path) -> list[Path]:
    """What is in a directory; nothing if it cannot be read, which is left to those who need it."""
    with contextlib.suppress(OSError):
        return sorted(folder.iterdir())
    return []


def _leftovers(parent: Path, ending: str, name: str | None) -> list[Path]:
    """Return what crashes may have left; without a `name`, also what has no random digits, from earlier versions."""
    if not parent.is_dir():
        return []
    end = re.escape(ending)
    pattern = rf"\..+{end}" if name is None else rf"\.{re.escape(name)}\.[0-9a-f]{{16}}(\.old)?{end}"
    with os.scandir(parent) as entries:
        names = sorted(entry.name for entry in entries if re.fullmatch(pattern, entry.name, re.DOTALL))
    return [parent / each for each in names if is_own(parent / each)]


def _create(path: Path) -> tuple[Path, int]:
    """Make the directory that will become `path`, and lock it; return its path and descriptor."""
    while True:
        partial = hidden_name(path, PARTIAL)
        partial.mkdir(parents=True)
        descriptor = os.open(partial, os.O_RDONLY)
        # Between these two, another process may have taken the directory for a leftover and removed it.
        if try_lock(descriptor) and partial.is_dir():
            return partial, descriptor
        os.close(descriptor)


def _replace(path: Path, partial: Path) -> None:
    """Give `partial` the name of a directory that exists, and delete that."""
    if exchange(path, partial):
        sync_file(path.parent)
        shutil.rmtree(partial, ignore_errors=True)
        return
    # A rename cannot replace a directory that has files; the old one must be renamed first.
    replaced, doomed = hidden_name(path, _REPLACED), hidden_name(path, PARTIAL)
    with _in_use(path):
        path.rename(replaced)
        try:
            partial.rename(path)
        except BaseException:
            replaced.rename(path)
            raise
    sync_file(path.parent)
    # Under this name, nobody restores it when a part of it is gone.
    replaced.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def exchange(first: Path, second: Path) -> bool:
    """Let two directories change names in one step; return False if the system or file system cannot do that."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    working_directory, flag = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of <fcntl.h> and <linux/fs.h>
    if rename(working_directory, os.fsencode(first), working_directory, os.fsencode(second), flag) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(first))


@contextlib.contextmanager
def _in_use(path: Path) -> Iterator[None]:
    """Keep others from taking what is being replaced for the leftover of a crash."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try_lock(descriptor)
        yield
    finally:
        os.close(descriptor)
