"""The C allocator's settings, which cost training on a CPU more than some arithmetic does."""

import ctypes
import sys

# Numbers of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory(limit_bytes: int = 1 << 30) -> bool:
    """Let glibc keep freed blocks of up to `limit_bytes` instead of returning them to the system.

    Otherwise every large temporary of a training step is mapped, zeroed page by page and unmapped again. Returns
    whether the C library took the settings (glibc on Linux does).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, limit_bytes)) and bool(mallopt(_M_TRIM_THRESHOLD, limit_bytes))


def give_back_freed_memory() -> bool:
    """Return to the system what lies freed between blocks in use; now and then, in a long run of uneven batches.

    Returns whether the C library can (glibc can).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (OSError, AttributeError):
        return False
