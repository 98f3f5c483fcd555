"""A program that trains in one process after another and lets each die at a planned moment, of SIGKILL.

    python lives.py SETTINGS.yaml RUN OVERRIDE... < DEATHS.json

DEATHS is a list of what ends each life: null for none, or

    {"step": S, "call": C}      at the C-th call that changes the disk after optimizer step S has begun
    {"step": S, "seconds": T}   T seconds after optimizer step S has begun, wherever that is

For every life one JSON object goes to stdout: how it ended, and what it left in the directory of the checkpoints.
"""

import itertools
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What training imports when it comes to it, once for all lives.
import sacrebleu  # noqa: F401
import sentencepiece  # noqa: F401
import torch._dynamo  # noqa: F401
from torch.optim.optimizer import register_optimizer_step_pre_hook

from translator.checkpoints import RunDirectory, store
from translator.config import load_config
from translator.training import train

CALLS = ("fsync", "mkdir", "rename", "replace", "rmdir", "unlink")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_call(count: int, has_begun: Callable[[], bool]) -> None:
    """Die at the call after `count` others that change the disk; before it, or with a tensor file half-written."""
    calls = itertools.count()

    def is_last() -> bool:
        return has_begun() and next(calls) == count

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if is_last():
                die()
            return real(*arguments, **options)

        return call

    for name in CALLS:
        setattr(os, name, watched(getattr(os, name)))
    save_file = store.save_file

    def half_save(tensors: Any, file: Path) -> None:
        last = is_last()
        save_file(tensors, file)
        if last:
            os.truncate(file, file.stat().st_size // 2)
            die()

    store.save_file = half_save


def arrange(death: dict[str, Any], first_step: int) -> None:
    """Prepare this process, whose training goes on after `first_step`, for its death."""
    steps = itertools.count(first_step + 1)
    begun = threading.Event()

    def count_step(*_: Any) -> None:
        if next(steps) == death["step"]:
            begun.set()
            if "seconds" in death:
                threading.Timer(death["seconds"], die).start()

    register_optimizer_step_pre_hook(count_step)
    if "call" in death:
        die_at_call(death["call"], begun.is_set)


def live(settings: str, overrides: list[str], death: dict[str, Any] | None, first_step: int) -> int:
    """Train in this process; return its exit code if it lives so long."""
    # What a process wrote outlives it without being synced, which is what takes the time of a save.
    os.fsync = lambda descriptor: None
    try:
        if death is not None:
            arrange(death, first_step)
        train(load_config(settings, overrides))
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    settings, run, *overrides = sys.argv[1:]
    directory = RunDirectory(run)
    for death in json.load(sys.stdin):
        first_step = max(directory.steps(), default=0)
        child = os.fork()
        if not child:
            os._exit(live(settings, [f"run={run}", *overrides], death, first_step))
        _, status = os.waitpid(child, 0)
        left = sorted(path.name for path in directory.checkpoints.glob("*"))
        print(json.dumps({"code": os.waitstatus_to_exitcode(status), "left": left}), flush=True)


if __name__ == "__main__":
    main()
