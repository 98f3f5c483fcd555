"""Who holds the lock of a file or directory (`files.locked`), by what the kernel says now: no dead process is named."""

import os
from pathlib import Path

_LONGEST = 100


def describe_holder(path: Path) -> str:
    """Name the process that holds the lock of `path`, with its command, or say "another process" if nobody can tell.

    Linux lists the locks of a machine; a process of another machine (a network file system) or container is not there.
    """
    try:
        held = os.stat(path)
        number = _find(held.st_dev, held.st_ino)
        arguments = Path(f"/proc/{number}/cmdline").read_bytes().decode(errors="replace")
    except (OSError, LookupError, ValueError):
        return "another process"
    command = " ".join(arguments.replace("\0", " ").split())
    shown = command if len(command) <= _LONGEST else f"{command[:_LONGEST]}..."
    return f"process {number} ({shown})" if shown else f"process {number}"


def _find(device: int, inode: int) -> int:
    """The number of the process with an flock on a file; raise `LookupError` if none is listed.

    A line of /proc/locks: `1: FLOCK  ADVISORY  WRITE 4711 fe:01:131094 0 EOF`, and `-> FLOCK ...` for who waits.
    """
    wanted = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5] == wanted:
            return int(fields[4])
    raise LookupError(wanted)
