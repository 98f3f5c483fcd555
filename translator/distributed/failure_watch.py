"""Ends a process soon after another one of its job has failed or died, whatever it is waiting for.

A collective whose partner is gone hangs (NCCL) or raises an error without a cause (gloo). The watch is a thread
that uses neither: it asks the job's store whether somebody has failed, and the system whether the processes of this
machine are alive.
"""

import contextlib
import os
import sys
import threading
import time
from pathlib import Path

import torch.distributed as dist

from translator.distributed.launch import has_launcher
from translator.runtime.printable import printable

_POLL_SECONDS = 0.5
_FAILED, _CLAIMED, _LEFT, _GONE = "failed", "claimed", "left", "gone"

Identity = tuple[str, str, int]
"""The boot of the system, its namespace of process ids, and the id of a process there."""


def process_identity() -> Identity | None:
    """Return what identifies this process to others on the same machine; None if the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return boot, os.readlink("/proc/self/ns/pid"), os.getpid()
    except OSError:
        return None


class Watch:
    """Watches for failed processes; `store` is shared by all processes, with names of this start of the job only."""

    patience_seconds = 5.0
    """Longer than it takes for a failure anywhere to end all processes."""

    def __init__(self, store: dist.Store, rank: int, peers: dict[int, Identity | None]) -> None:
        self.store = store
        self.rank = rank
        own = process_identity()
        self._neighbours = {
            peer: identity[2] for peer, identity in peers.items() if own and identity and identity[:2] == own[:2]
        }
        self._stopped = threading.Event()

    def start(self) -> None:
        """Watch in the background until `leave`."""
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def claim(self) -> bool:
        """Claim the right to report what went wrong; only the first process that asks gets it."""
        try:
            return self.store.add(_CLAIMED, 1) == 1
        except RuntimeError:  # The store died with the process that held it; nobody else can be asked.
            return True

    def announce(self) -> None:
        """Make all processes end."""
        try:
            self.store.set(_FAILED, str(self.rank))
        except RuntimeError:
            return  # The others have lost the store too, and end because of that.

    def leave(self, size: int) -> None:
        """Stop watching once all `size` processes have called this; the main process leaves last.

        It may be the one that holds the store.
        """
        self.store.set(f"{_LEFT}/{self.rank}", "")
        while not self.store.check([f"{_LEFT}/{rank}" for rank in range(size)]):
            time.sleep(0.05)
        self._stopped.set()
        self.store.set(f"{_GONE}/{self.rank}", "")
        if self.rank == 0:
            while not self.store.check([f"{_GONE}/{rank}" for rank in range(size)]):
                time.sleep(0.05)

    def _run(self) -> None:
        while not self._stopped.wait(_POLL_SECONDS):
            try:
                if not self.store.check([_FAILED]):
                    dead = [peer for peer, pid in self._neighbours.items() if not _is_alive(pid)]
                    lost = [peer for peer in dead if not self.store.check([f"{_LEFT}/{peer}"])]
                    if not lost:
                        continue
                    # One that fails says so before it ends, and nobody else speaks then; this one was killed.
                    if not self.store.check([_FAILED]) and not has_launcher() and self.claim():
                        _print(
                            f"error: the process of rank {lost[0]} was killed, perhaps for lack of memory; the same "
                            "command continues from what was saved"
                        )
                    self.announce()
                if self.rank == 0:
                    # The store may be in this process, and the others must still learn of the failure.
                    time.sleep(3 * _POLL_SECONDS)
            except RuntimeError as error:
                if self._stopped.is_set():
                    return
                _print(f"error: rank {self.rank} lost the process that holds the job together: {error}")
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.flush()
            os._exit(1)


def _print(message: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(printable(message), file=sys.stderr)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        # What nobody has waited for yet is dead all the same.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return True
