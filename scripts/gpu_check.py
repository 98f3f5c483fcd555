"""Checks and times everything on one CUDA device in one call, without a network.

    python scripts/gpu_check.py --output DIR [--parts 1-5,multi30k] [--seconds 580] [--wheels DIR] [--multi30k DIR]

Every part runs in a process of its own, with a budget in seconds, and writes what it finds to `DIR/PART.json` at once;
a part that raises an exception, crashes or takes too long ends no other. Parts that have passed are left out by the
next call with the same DIR, which so continues with what failed or was not reached. `DIR/table.md` has all of it. With
`--device cpu --quick` everything runs anywhere in toy sizes, to test the script and not the machine.

`--wheels DIR` makes the wheels in a directory importable, for a machine that lacks packages and has no network.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.gpu_parts.check import Check


class Part(NamedTuple):
    """A part by name: `FILE.FUNCTION` in scripts/gpu_parts, and the seconds that it may take."""

    function: str
    seconds: float


PARTS = {
    "ceilings": Part("device.ceilings", 30),
    "kernels": Part("device.kernels", 30),
    "precision": Part("training.precision", 40),
    "eager": Part("training.eager", 40),
    "decoding": Part("decoding.decoding", 60),
    "base": Part("training.base_compiled", 120),
    "huggingface": Part("hugging_face.hugging_face", 60),
    "sample": Part("commands.sample", 60),
    "big": Part("training.big_compiled", 120),
    "multi30k": Part("commands.multi30k", 600),
    "candidates": Part("candidates.candidates", 180),
}
"""In the order in which they run; `multi30k` gets what is left. `candidates` runs only if it is asked for."""
USUAL = "1-10"
_LEAST = 10.0
"""Seconds under which no part is started."""


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    numbered = ", ".join(f"{number} {name}" for number, name in enumerate(PARTS, start=1))
    parser = argparse.ArgumentParser(
        description="Check and time everything on one CUDA device.", epilog=f"Parts: {numbered}"
    )
    parser.add_argument("--output", type=Path, required=True, help="directory for everything that is found")
    parser.add_argument("--parts", default=USUAL, help="names and numbers, such as 1-4,decoding")
    parser.add_argument("--seconds", type=float, default=580.0, help="for all parts together")
    parser.add_argument("--again", action="store_true", help="also repeat parts that have passed")
    parser.add_argument("--wheels", type=Path, help="directory of wheels to make importable")
    parser.add_argument("--multi30k", type=Path, help="directory with train, val and test_2016_flickr .{en,de}.gz")
    parser.add_argument(
        "--scratch", type=Path, help="directory for runs (default: one in the system's temporary files)"
    )
    parser.add_argument("--batch-tokens", type=int, default=25_000, help="target tokens of a batch of base and big")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--precision", default="bf16", choices=["bf16", "fp16", "fp32"])
    parser.add_argument("--quick", action="store_true", help="toy sizes, to test this script")
    options = parser.parse_args(arguments)
    try:
        options.chosen = chosen_parts(options.parts)
    except ValueError as error:
        parser.error(f"--parts: {error}")
    # Commands of the program run in another directory.
    for name in ("output", "wheels", "multi30k", "scratch"):
        path: Path | None = getattr(options, name)
        setattr(options, name, path.resolve() if path is not None else None)
    options.scratch = options.scratch or Path(tempfile.gettempdir()) / f"translator-gpu-check-{os.getuid()}"
    return options


def chosen_parts(text: str) -> list[str]:
    """Return the names of parts that `text` lists by name, number or range, in their order.

    Raises `ValueError` if there is no such part.
    """
    names, chosen = list(PARTS), set()
    for word in text.split(","):
        first, dash, last = word.partition("-")
        if word in PARTS:
            chosen.add(word)
        elif first.isdigit() and (last.isdigit() or not dash):
            numbers = range(int(first), int(last or first) + 1)
            if not numbers or numbers[0] < 1 or numbers[-1] > len(names):
                raise ValueError(f"found {word!r}, expected numbers from 1 to {len(names)}")
            chosen.update(names[number - 1] for number in numbers)
        else:
            raise ValueError(f"found {word!r}, expected numbers or some of {', '.join(names)}")
    return [name for name in names if name in chosen]


def unpack_wheels(directory: Path, target: Path) -> None:
    """Unpack wheels and make them importable here and in processes that are started from here."""
    wheels = sorted(directory.glob("*.whl"))
    if not wheels:
        raise SystemExit(f"--wheels: found no *.whl in {directory}")
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
    sys.path.insert(0, str(target))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH")]))


def run_part(name: str, options: argparse.Namespace, seconds: float) -> None:
    """Run a part in this process, which was made for it; its file says how it ended, whatever happens."""
    # In a process group of its own, so that what the part has started ends with it.
    os.setpgid(0, 0)
    from scripts.gpu_parts import check as module

    check: Check | None = None
    try:
        check = module.Check(name, options, seconds)
        function_of(name)(check)
        check.write(module.FAILED if check.failures else module.PASSED)
    except BaseException:
        problem = traceback.format_exc()
        print(problem, flush=True)
        if check is not None:
            check.write(module.RAISED, problem)
        else:
            found = {"part": name, "status": module.RAISED, "problem": problem, "rows": [], "figures": {}}
            module.save(options.output / f"{name}.json", found)


def function_of(name: str) -> Callable[[Check], None]:
    """Import the function of a part."""
    file, _, function = PARTS[name].function.rpartition(".")
    found: Callable[[Check], None] = getattr(importlib.import_module(f"scripts.gpu_parts.{file}"), function)
    return found


def run_with_limit(name: str, options: argparse.Namespace, seconds: float) -> str:
    """Run a part in a new process, end it after `seconds`, and return how it ended."""
    from scripts.gpu_parts.check import RUNNING, TIMED_OUT, read, save

    # Forked: torch has been imported once for all parts, and CUDA is first used in the part.
    process = multiprocessing.get_context("fork").Process(target=run_part, args=(name, options, seconds))
    process.start()
    try:
        process.join(seconds)
        late = process.is_alive()
    finally:
        end_group(process.pid)
        process.join()
    path = options.output / f"{name}.json"
    found = read(path)
    if found.get("status", RUNNING) == RUNNING:
        status = TIMED_OUT if late else f"crashed ({process.exitcode})"
        found = {"part": name, "rows": [], "figures": {}, **found, "status": status}
        found["problem"] = f"ended after {seconds:.0f} seconds" if late else f"exit code {process.exitcode}"
        save(path, found)
    return str(found["status"])


def end_group(pid: int | None) -> None:
    """Kill a part and everything that it has started; does nothing if all of it has ended."""
    assert pid is not None, "the process has been started"
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def table(output: Path) -> str:
    """Everything that all calls have found, in Markdown."""
    from scripts.gpu_parts.check import read

    lines, heads = [], []
    for name in PARTS:
        found = read(output / f"{name}.json")
        if not found:
            continue
        if "torch" in found:
            versions = f"torch {found['torch']}, CUDA {found['cuda']}, Python {found['python']}"
            heads.append(f"{found['date']}, {found['device']}; {versions}")
        lines += [f"| {name} | {what} | {value} | {note} |" for what, value, note in found.get("rows", [])]
        if found["status"] != "passed":
            reason = (found.get("problem", "").strip().splitlines() or found.get("failures", [""]) or [""])[-1]
            lines.append(f"| {name} | **{found['status']}** | | {reason.replace('|', '/')} |")
    head = "\n".join(dict.fromkeys(heads))
    return f"{head}\n\n| part | what | value | note |\n|---|---|---|---|\n" + "".join(f"{line}\n" for line in lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the parts; return 1 if one of them did not pass."""
    began = time.monotonic()
    options = parse_options(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    if options.wheels is not None:
        unpack_wheels(options.wheels, Path(tempfile.mkdtemp(prefix="translator-wheels-")))
    # What is imported before the first process is forked is imported once.
    import translator.training  # noqa: F401
    from scripts.gpu_parts.check import PASSED, read

    complete = True
    for name in options.chosen:
        if not options.again and read(options.output / f"{name}.json").get("status") == PASSED:
            print(f"{name}: passed in an earlier call", flush=True)
            continue
        left = options.seconds - (time.monotonic() - began)
        if left < min(_LEAST, options.seconds):
            print(f"{name}: not started, {max(0.0, left):.0f} seconds are left", flush=True)
            complete = False
            continue
        print(f"{name}, at most {min(PARTS[name].seconds, left):.0f} s", flush=True)
        status = run_with_limit(name, options, min(PARTS[name].seconds, left))
        print(f"{name}: {status} after {time.monotonic() - began:.0f} s in all", flush=True)
        complete &= status == PASSED
        (options.output / "table.md").write_text(table(options.output), encoding="utf-8")
    print(f"\n{table(options.output)}", flush=True)
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
