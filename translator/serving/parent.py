"""What a worker process and its parent have to do with each other; `workers.py` is the parent."""

import multiprocessing
import os
import signal


def end_with_parent() -> None:
    """Wait until the parent ends, and end this process as SIGTERM does: nobody else would."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def ask_parent_to_reload() -> None:
    """Send the parent of this worker SIGHUP, at which it replaces its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None and parent.is_alive():
        os.kill(parent.pid, signal.SIGHUP)
