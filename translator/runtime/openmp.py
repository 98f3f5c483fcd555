"""How the threads of OpenMP wait for each other: asleep, so that other programs have the cores in the meantime.

Between two matrix products the threads of a team wait for the next one. GNU's libgomp (PyTorch, CTranslate2 and
SentencePiece each ship one) lets them spin for about three milliseconds before they sleep, which keeps a core busy that
another process, or even the last thread of their own team, is waiting for. Asleep from the start they are as fast alone
and many times faster in company: `scripts/bench_company.py`, with figures in `scripts/RESULTS.md`.
"""

import os
import sys

_SETTINGS = {
    "OMP_WAIT_POLICY": "passive",  # The OpenMP standard's; libgomp (Linux) reads it, and libomp as a hint.
    "KMP_BLOCKTIME": "0",  # Milliseconds of spinning in LLVM's libomp (macOS) and Intel's libiomp (Windows).
}
_DECIDED_BY_THE_USER = (*_SETTINGS, "GOMP_SPINCOUNT")


def wait_asleep() -> None:
    """Set the wait policy of OpenMP in the environment of this process and its children.

    Nothing is changed if the user has set any of these variables, nor if torch has been imported already: its library
    read them when it was loaded, and whoever imported it first has chosen.
    """
    if "torch" in sys.modules or any(name in os.environ for name in _DECIDED_BY_THE_USER):
        return
    os.environ.update(_SETTINGS)
