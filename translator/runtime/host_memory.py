"""How much memory of the host is free, and what the C allocator does with what is freed."""

import ctypes
import os
import sys
from pathlib import Path

from translator.errors import DeviceError

# Parameters of mallopt(3) in glibc.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory(limit_bytes: int = 1 << 30) -> bool:
    """Let glibc keep freed blocks of up to `limit_bytes` instead of returning them to the system.

    Otherwise every large temporary of a training or decoding step is mapped, zeroed page by page and unmapped again.
    Returns whether the C library took the settings (glibc on Linux does).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, limit_bytes)) and bool(mallopt(_M_TRIM_THRESHOLD, limit_bytes))


def give_back_freed_memory() -> bool:
    """Return freed blocks between blocks in use to the system; call it now and then in a long run of uneven batches.

    Returns whether the C library can (glibc can).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (OSError, AttributeError):
        return False


def peak_host_bytes() -> int:
    """The most memory that this process has had resident, or 0 if the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def check_host_memory(needed: int, what: str) -> None:
    """Raise `DeviceError` if `what` takes `needed` bytes and the host cannot give as many."""
    if needed > (free := free_host_bytes()):
        raise DeviceError(
            f"{what} would take {needed / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB are free on this machine; lower "
            "the settings of `model`, or use a larger machine"
        )


def free_host_bytes() -> int:
    """Bytes that the host can still give: what the kernel says, or what this process's container may use."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else sys.maxsize
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):
        return free
    return min(free, limit - used)
