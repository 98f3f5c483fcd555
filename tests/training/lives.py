"""A program that trains in one process after another and lets each die at a planned moment, of SIGKILL.

    python lives.py SETTINGS.yaml < TRAININGS.json

TRAININGS is a list of {"run": DIRECTORY, "overrides": [KEY=VALUE, ...], "deaths": [...]}. A death ends a life: null
for one that is not cut short, or

    {"step": S, "call": C}      at the C-th call that changes the disk after optimizer step S has begun
    {"step": S, "seconds": T}   T seconds after optimizer step S has begun, wherever that is

For every training a list of its lives goes to stdout: how each ended, and what it left among the checkpoints.
"""

import contextlib
import importlib
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

from torch.optim.optimizer import register_optimizer_step_pre_hook

from translator.checkpoints import RunDirectory
from translator.checkpoints import checkpoint as store
from translator.config import load_config
from translator.training import train

# What training imports when it comes to it, in half a second; so it is done once for all lives.
for module in ("pandas", "pyarrow.compute", "sacrebleu", "sentencepiece", "torch._dynamo"):
    with contextlib.suppress(ImportError):
        importlib.import_module(module)

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
    """Prepare this process, whose training continues after `first_step`, for its death."""
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


def train_on(settings: str, run: str, overrides: list[str], deaths: list[dict[str, Any] | None]) -> list[Any]:
    """Let one process after another continue a training; return how each ended, and what it left."""
    directory = RunDirectory(run)
    lives = []
    for death in deaths:
        first_step = max(directory.steps(), default=0)
        child = os.fork()
        if not child:
            os._exit(live(settings, [f"run={run}", *overrides], death, first_step))
        _, status = os.waitpid(child, 0)
        left = sorted(path.name for path in directory.checkpoints.glob("*"))
        lives.append({"code": os.waitstatus_to_exitcode(status), "left": left})
    return lives


def main() -> None:
    print(json.dumps([train_on(sys.argv[1], **training) for training in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
