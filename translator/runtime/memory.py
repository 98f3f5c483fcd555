"""How much host or device memory exists and was used, and what the C allocator does with freed blocks."""

import ctypes
import os
import sys
from pathlib import Path

import torch

# Parameters of mallopt(3) in glibc.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory(limit_bytes: int = 1 << 30) -> bool:
    """Let glibc keep freed blocks of up to `limit_bytes` instead of returning them to the system.

    Otherwise every large temporary of a training or decoding step is mapped, zeroed page by page and unmapped again.
    Returns whether the C library accepted the settings (glibc on Linux does).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, limit_bytes)) and bool(mallopt(_M_TRIM_THRESHOLD, limit_bytes))


def give_back_freed_memory() -> bool:
    """Return freed memory between blocks in use to the system; for now and then, in a long run of uneven batches.

    Returns whether the C library can do so (glibc can).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (OSError, AttributeError):
        return False


def peak_bytes(device: torch.device) -> int:
    """Return the most memory that this process has used: of a CUDA device, or resident on the host (0 if unknown)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def available_bytes(device: torch.device) -> int:
    """Return what this process may use in all: of a CUDA device, or on the host what it has and can still get."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return _free_on_host() + peak_bytes(device)


def describe_memory(device: torch.device) -> str:
    """Describe how much memory there is, for a message."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} has {available_bytes(device) / 2**30:.1f} GiB"
    return f"{_free_on_host() / 2**30:.1f} GiB are free on this machine"


def _free_on_host() -> int:
    """Return the bytes that the host can still give: by the kernel, or less if the container has a limit."""
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
