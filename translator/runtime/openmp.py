"""How the threads of OpenMP wait for each other: they look for work for some microseconds, then sleep.

Between two matrix products the threads of a team wait for the next one. GNU's libgomp (PyTorch, CTranslate2 and
SentencePiece each ship one) lets them spin for milliseconds before they sleep, which keeps a core busy that another
process, or even the last thread of their own team, is waiting for: of two trainings on the same cores, each falls to a
hundredth of its speed. If they sleep at once, a training alone loses a third, since small products follow each other
faster than a thread wakes up. `scripts/bench_company.py` measures both, with figures in `scripts/RESULTS.md`.
"""

import os
import sys
from pathlib import Path

_ABOUT_15_MICROSECONDS = "1000"
"""Looks of libgomp, with a `pause` of 40 to 65 cycles between two (AMD; elsewhere it is shorter)."""
_ON_INTEL = "300"
"""The same time where `pause` takes 140 cycles (Skylake and later)."""
_DECIDED_BY_THE_USER = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def wait_briefly() -> None:
    """Set how threads of OpenMP wait, in the environment of this process and its children.

    Nothing is changed if the user has set one of the variables, nor if torch has been imported already: its library
    read them when it was loaded, and whoever imported it first has chosen.
    """
    if "torch" in sys.modules or any(name in os.environ for name in _DECIDED_BY_THE_USER):
        return
    os.environ["OMP_WAIT_POLICY"] = "passive"
    # libgomp (Linux): this number wins over the policy, except if a process has more threads than there are cores.
    os.environ["GOMP_SPINCOUNT"] = _ON_INTEL if _is_intel() else _ABOUT_15_MICROSECONDS
    # LLVM's libomp (macOS) and Intel's libiomp (Windows): milliseconds, of which one would be too many.
    os.environ["KMP_BLOCKTIME"] = "0"


def _is_intel() -> bool:
    try:
        with Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as file:
            return "GenuineIntel" in file.read(200)
    except OSError:
        return False
