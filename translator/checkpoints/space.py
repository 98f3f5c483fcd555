"""The disk that a run's checkpoints take, said before training rather than found out in its third night."""

import shutil
from pathlib import Path

from translator.runtime.console import say, warn

_FP32 = 4


def checkpoints_bytes(parameters: int, keep_last: int, keep_best: int, moving_average: bool) -> int:
    """Bytes that checkpoints and the final model take at most, at `parameters` numbers in fp32.

    A checkpoint holds the weights, Adam's two moments and the moving average where there is one. A new one is
    complete before an old one goes.
    """
    checkpoint = parameters * (3 + moving_average)
    return _FP32 * (checkpoint * (keep_last + keep_best + 1) + parameters)


def report_space(directory: Path, needed: int) -> None:
    """Say what checkpoints in `directory` (which exists) will take, and warn where the disk has less left.

    What lies in it already, in a run that goes on, counts towards `needed` bytes.
    """
    present = sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
    free = shutil.disk_usage(directory).free
    say(f"checkpoints take up to {bytes_in_words(needed)} of disk; {bytes_in_words(free)} are free")
    if free < needed - present:
        warn(
            f"{directory} needs {bytes_in_words(needed - present)} more than it holds now, and the disk "
            f"has {bytes_in_words(free)}: free some, lower training.keep_last and training.keep_best, or put the run "
            "elsewhere"
        )


def bytes_in_words(size: int) -> str:
    """Write a number of bytes for a person, in the powers of ten of disks."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
