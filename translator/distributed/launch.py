"""Starts the processes of one machine: what `torchrun --standalone --nproc-per-node N` does, with our exit codes.

Several machines need a rendezvous, which torchrun provides: `torchrun ... -m translator train ...`.
"""

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from translator.errors import DeviceError
from translator.runtime.counted import counted

PROGRAM = str(Path(__file__).resolve().parents[1] / "__main__.py")
"""The program of this package, as a file for `launch`."""

# After SIGTERM the processes finish a step and save. Torchrun would kill them after half a minute.
_SAVING_SECONDS = 3600
_NAME = "translator-"
"""How the names of the jobs that `launch` starts begin."""


def is_worker() -> bool:
    """Whether torchrun, or something that sets the same variables, started this process."""
    return all(name in os.environ for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"))


def has_launcher() -> bool:
    """Whether `launch` started this process, and will report how it ended."""
    return os.environ.get("TORCHELASTIC_RUN_ID", "").startswith(_NAME)


def launch(processes: int, device: str, command: Sequence[str]) -> int:
    """Run `python COMMAND` in several processes of this machine until they end; return the exit code.

    The working directory is not on their path. SIGINT, SIGTERM and SIGHUP reach every process once, and then 130, 143
    and 129 are returned. Otherwise the code is 0, or that of the first process that failed, or 1 if a signal ended it.
    Raises `DeviceError` if `device` is not `cpu` and
    there are fewer CUDA devices than processes.
    """
    import torch
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    found = torch.cuda.device_count()
    if (device == "cuda" or (device == "auto" and torch.cuda.is_available())) and processes > found:
        raise DeviceError(
            f"devices: {processes} were asked for, but PyTorch sees {counted(found, 'CUDA device')} here; lower "
            "devices or set device=cpu"
        )
    # Unless the user has decided otherwise, the processes share the cores; each would take all of them.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, _cores() // processes)))
    # What lies in the working directory is data, and no library, for the processes and for those that they start.
    os.environ["PYTHONSAFEPATH"] = "1"
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(_SAVING_SECONDS))
    # The processes report their own errors, once; torchrun's long account of the same adds nothing.
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix=_NAME) as scratch:
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=processes, max_restarts=0,
            rdzv_backend="c10d", rdzv_endpoint="localhost:0", run_id=os.path.basename(scratch),
            logs_specs=DefaultLogsSpecs(log_dir=scratch), signals_to_handle=",".join(_handled_signals()),
        )  # fmt: skip
        try:
            elastic_launch(config, sys.executable)("-P", *command)
        except SignalException as stopped:
            return 128 + int(stopped.sigval)
        except ChildFailedError as failed:
            rank, failure = failed.get_first_failure()
            if failure.exitcode >= 0:
                return failure.exitcode
            name = signal.Signals(-failure.exitcode).name
            print(
                f"error: the process of rank {rank} was ended by {name}, perhaps for lack of memory; the same command "
                "continues from what was saved",
                file=sys.stderr,
            )
            return 1
    return 0


def _handled_signals() -> list[str]:
    """Names of the signals that are passed on; not one that is ignored, as SIGHUP is under `nohup`."""
    names = [name for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]
    return [name for name in names if signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN]


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
