"""What every part of scripts/gpu_check.py works with: the device, a deadline, and the file of what was found."""

import argparse
import contextlib
import functools
import json
import os
import statistics
import sys
import time
import unittest.mock
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from translator.attention.padded import attend_padded
from translator.config import Config, load_config, resolve_preset
from translator.runtime.device import Machine, choose_machine

ROOT = Path(__file__).parents[2]
RUNNING, PASSED, FAILED, RAISED, TIMED_OUT = "running", "passed", "failed", "raised", "timed out"


class Check:
    """One part: its findings are in `OUTPUT/NAME.json`, which is written again after every one of them."""

    def __init__(self, part: str, options: argparse.Namespace, seconds: float) -> None:
        """`seconds` is what the part may take; `left` tells how much of it remains."""
        self.part, self.options = part, options
        self.quick: bool = options.quick
        self.output: Path = options.output
        self.began = time.monotonic()
        self.deadline = self.began + seconds
        self.rows: list[tuple[str, str, str]] = []
        self.figures: dict[str, Any] = {}
        self.failures: list[str] = []
        self.machine = choose_machine(options.device, options.precision)
        self.device = self.machine.device
        self.write(RUNNING)

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    @property
    def scratch(self) -> Path:
        """A directory for runs and other large files, the same in a later call with the same output."""
        path: Path = self.options.scratch
        path.mkdir(parents=True, exist_ok=True)
        return path

    def add(self, what: str, value: str, note: str = "", **figures: Any) -> None:
        """Keep a line of the table and its figures, print it and write the file."""
        self.rows.append((what, value, note))
        self.figures |= figures
        print(f"  {what}: {value}  {note}", flush=True)
        self.write(RUNNING)

    def expect(self, holds: bool, what: str, note: str = "") -> None:
        """Add a line that says whether something is as it must be; if not, the part fails, at its end."""
        if not holds:
            self.failures.append(f"{what}: {note}")
        self.add(what, "agrees" if holds else "FAILS", note)

    def seconds(self, action: Callable[[], object], repeats: int = 10) -> float:
        """Median seconds of `action`, after three calls for warming up."""
        times = []
        for attempt in range(3 + repeats):
            self.wait()
            began = time.perf_counter()
            action()
            self.wait()
            if attempt >= 3:
                times.append(time.perf_counter() - began)
        return statistics.median(times)

    def wait(self) -> None:
        """Let the device finish."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def peak_gib(self) -> float:
        """The most device memory that tensors took since the last call; 0 on the CPU."""
        if self.device.type != "cuda":
            return 0.0
        peak = torch.cuda.max_memory_allocated() / 2**30
        torch.cuda.reset_peak_memory_stats()
        return peak

    def ceiling(self, name: str) -> float | None:
        """A figure of the part `ceilings`, if it has been measured."""
        figure: float | None = read(self.output / "ceilings.json").get("figures", {}).get(name)
        return figure

    def preset(self, name: str, *settings: str) -> Config:
        """The settings of a preset; tiny ones with `--quick`."""
        config = resolve_preset(load_config(None, [f"preset={name}", *settings]))
        if not self.quick:
            return config
        small = {"d_model": 32, "d_ff": 64, "encoder_layers": 1, "decoder_layers": 1, "num_heads": 2}
        return config.model_copy(update={"model": config.model.model_copy(update=small)})

    @contextlib.contextmanager
    def compiler(self) -> Iterator[None]:
        """Compile in this block; with `--quick` only trace, and run what was traced as it is."""
        if not self.quick:
            yield
            return
        traced = functools.partial(torch.compile, backend="eager")
        # The attention of the CPU has shapes that depend on the data, and is never compiled by the program.
        as_it_is = torch.compiler.disable(attend_padded)
        patch = unittest.mock.patch
        with patch("torch.compile", traced), patch("translator.attention.kernels.attend_padded", as_it_is):
            yield

    def machine_in(self, precision: str) -> Machine:
        """The device with another precision."""
        return Machine(self.device, precision)

    def write(self, status: str, problem: str = "") -> None:
        """Write what is known; a reader sees the file before or after, never a half of it."""
        found = {
            "part": self.part,
            "status": status,
            "device": str(self.machine),
            "torch": torch.__version__,
            "cuda": torch.version.cuda or "none",
            "python": sys.version.split()[0],
            "date": time.strftime("%Y-%m-%d"),
            "seconds": round(time.monotonic() - self.began, 2),
            "rows": self.rows,
            "figures": self.figures,
            "failures": self.failures,
            "problem": problem,
        }
        save(self.output / f"{self.part}.json", found)


def save(path: Path, found: dict[str, Any]) -> None:
    """Write JSON next to `path` and put it in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)


def read(path: Path) -> dict[str, Any]:
    """Read what an earlier call has written; empty if there is nothing."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found
