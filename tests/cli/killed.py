"""A program that runs a command in one process after another, each of which dies of SIGKILL one disk call later.

    python killed.py < COMMANDS.json

COMMANDS is a list of {"arguments": [...], "folder": DIRECTORY, "keep": [NAME, ...]}; the command runs in a copy of the
folder, next to it. For every command a list of what its processes left goes to stdout, the last of which did not die:
the hash of every file that is not hidden, by its path. Hidden files of dead processes are left for those after them.
"""

import builtins
import contextlib
import hashlib
import importlib
import io
import itertools
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from translator.cli.app import main as program
from translator.cli.app import make_app
from translator.runtime import directories

# What the commands import when they come to it, which is done once for all processes here.
for module in (
    "ctranslate2", "matplotlib.figure", "matplotlib.backends.backend_agg", "pandas", "pyarrow.compute", "sacrebleu",
    "sentencepiece", "torch._dynamo", "translator.data", "translator.evaluation", "translator.inspection",
    "translator.inspection.prune", "translator.inspection.head_pictures", "translator.inspection.page",
    "translator.training.plot", "translator.translation",
):  # fmt: skip
    with contextlib.suppress(ImportError):
        importlib.import_module(module)
make_app()

CALLS = ("fsync", "ftruncate", "mkdir", "open", "pwrite", "rename", "replace", "rmdir", "unlink")


def die_before(last: int) -> None:
    """Let this process die before it changes the disk once more after `last` changes."""
    calls = itertools.count()

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            changes = name != "open" or (len(arguments) > 1 and arguments[1] & os.O_CREAT)
            if changes and next(calls) == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return call

    for name in CALLS:
        # What a process wrote outlives it without being synced, which takes time.
        setattr(os, name, watched(name, getattr(os, name) if name != "fsync" else lambda descriptor: None))
    directories.exchange = watched("exchange", directories.exchange)
    real_open = io.open

    def open_file(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        opened = real_open(file, mode, *arguments, **options)
        # Now a file that is written in its place is empty.
        if set(mode) & set("wax+") and next(calls) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return opened

    io.open = builtins.open = open_file


def live(arguments: list[str], folder: Path, last: int) -> int:
    """Run the command in this process; return its exit code if it lives so long."""
    os.chdir(folder)
    silent = os.open(os.devnull, os.O_RDWR)
    os.dup2(silent, 1)
    sys.argv = ["translator", *arguments]
    die_before(last)
    try:
        program()
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    return 1


def left_in(folder: Path) -> dict[str, str]:
    """Hash the files that are not hidden; the date of a score does not count."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_dir() or any(part.startswith(".") for part in name.parts):
            continue
        data = path.read_bytes()
        if path.name == "scores.json":
            entries = json.loads(data)
            data = json.dumps([{**entry, "date": None} for entry in entries]).encode()
        found[str(name)] = hashlib.sha256(data).hexdigest()
    return found


def renew(pristine: Path, folder: Path) -> None:
    """Make the files that are not hidden those of the pristine folder again."""
    for path in sorted(folder.rglob("*"), reverse=True):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts) or (pristine / name).exists():
            continue
        if not path.is_dir():
            path.unlink()
        elif not any(path.iterdir()):
            path.rmdir()
    shutil.copytree(pristine, folder, dirs_exist_ok=True)


def run(arguments: list[str], folder: str) -> dict[str, Any]:
    """Let one process after another run the command until one survives; return what each left."""
    pristine = Path(folder)
    working = pristine.with_name(f"{pristine.name}-killed")
    lefts = []
    for last in itertools.count():
        renew(pristine, working)
        child = os.fork()
        if not child:
            os._exit(live(arguments, working, last))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        lefts.append(left_in(working))
        if code != -signal.SIGKILL:
            break
    hidden = [str(path.relative_to(working)) for path in working.rglob(".*")]
    return {"code": code, "before": left_in(pristine), "left": lefts, "hidden": hidden}


def main() -> None:
    print(json.dumps([run(**command) for command in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
