"""The disk that a run is written to: whether it has room, and what to do if it refuses a write."""

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from translator.checkpoints.run_directory import RunDirectory
from translator.errors import CheckpointError
from translator.runtime.console import say, warn

_FP32 = 4


def checkpoints_bytes(parameters: int, kept: int, moving_average: bool) -> int:
    """Return the most bytes that `kept` checkpoints and the final model take, at `parameters` numbers in fp32.

    A checkpoint holds the weights, Adam's two moments and the moving average if there is one. A new one is
    complete before an old one is removed.
    """
    checkpoint = parameters * (3 + moving_average)
    return _FP32 * (checkpoint * (kept + 1) + parameters)


def report_space(directory: Path, needed: int) -> None:
    """Say how many bytes checkpoints in `directory` (which exists) will take, and warn if the disk has less left.

    What a run that continues has stored there already counts towards the `needed` bytes.
    """
    stored = sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
    free = shutil.disk_usage(directory).free
    say(f"checkpoints take up to {bytes_in_words(needed)} of disk; {bytes_in_words(free)} are free")
    if free < needed - stored:
        warn(
            f"{directory} needs {bytes_in_words(needed - stored)} more than it holds now, and the disk "
            f"has {bytes_in_words(free)}: free some, lower training.keep_last and training.keep_best, or put the run "
            "elsewhere"
        )


def bytes_in_words(size: int) -> str:
    """Write a number of bytes for a person, in the powers of ten of disks."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


_ELSEWHERE = "or choose another run directory with run=DIRECTORY"
_REMEDIES = {
    errno.ENOSPC: "make room there (training.keep_last and training.keep_best say how many checkpoints stay)",
    errno.EDQUOT: "make room there or have the quota raised",
    errno.EFBIG: "raise the limit on the size of a file (`ulimit -f`)",
    errno.EROFS: f"mount it for writing {_ELSEWHERE}",
    errno.EACCES: f"make it writable for this user {_ELSEWHERE}",
    errno.EPERM: f"make it writable for this user {_ELSEWHERE}",
    errno.ENOTDIR: f"move the file that is in the way {_ELSEWHERE}",
    errno.EEXIST: f"move the file that is in the way {_ELSEWHERE}",
    errno.EIO: "check the disk and its cables or network",
}


@contextlib.contextmanager
def explained_disk_errors(run: RunDirectory, writing: Path | None = None, size: int = 0) -> Iterator[None]:
    """Turn what the disk refuses while a run is written into a `CheckpointError` that names the newest checkpoint.

    `writing` is the path that is being written, if the error itself does not say, and `size` its size in bytes.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        number = _number(error)
        if number not in _REMEDIES:
            raise
        where = writing or getattr(error, "filename", None) or run.root
        room = _room(run.root, size) if number in (errno.ENOSPC, errno.EDQUOT) else ""
        sentences = [f"cannot write {where}: {os.strerror(number)}{room}"]
        if steps := run.steps():
            sentences.append(f"{run.checkpoint(steps[-1])} is intact")
        sentences.append(f"{_REMEDIES[number]}, then repeat the command: it continues from what is intact")
        raise CheckpointError("; ".join(sentences)) from error


def _number(error: OSError | SafetensorError) -> int | None:
    """Return the errno of an error; safetensors has it in the text only."""
    if isinstance(error, OSError):
        return error.errno
    match = re.search(r"\(os error (\d+)\)", str(error))
    return int(match[1]) if match else None


def _room(root: Path, size: int) -> str:
    """Say how much room there is, and how much is needed."""
    there = next(parent for parent in (root, *root.absolute().parents) if parent.exists())
    needed = f"{bytes_in_words(size)} needed, " if size else ""
    return f" ({needed}{bytes_in_words(shutil.disk_usage(there).free)} free)"
