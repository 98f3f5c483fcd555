"""A process of a job that calls the program, with blocks so small that a few pairs are several spans.

RANK=... WORLD_SIZE=... MASTER_ADDR=... MASTER_PORT=... python ranks.py DIRECTORY PARTS ARGUMENT...

It appends the key of every part that it makes to DIRECTORY/made-RANK. Rank 1 kills itself instead of making another one
after that many PARTS.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from translator.cli.app import main
from translator.data import encoding, scanned, shared_work
from translator.data.parts import Parts
from translator.data.workers import blocks_of

BLOCK_PAIRS = 8

if __name__ == "__main__":
    for module in (scanned, encoding):
        module.blocks_of = lambda items: blocks_of(items, BLOCK_PAIRS)  # type: ignore[attr-defined]
    shared_work.BLOCK_PAIRS, shared_work.SPAN_BLOCKS = BLOCK_PAIRS, 2  # type: ignore[attr-defined]
    made, rank = Path(sys.argv[1]), os.environ["RANK"]
    left = [int(sys.argv[2])]
    make = Parts.make

    def watched(parts: Parts, key: str, write: Callable[[Path], Any]) -> None:
        if rank == "1" and not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        make(parts, key, write)
        with (made / f"made-{rank}").open("a") as file:
            file.write(key + "\n")

    Parts.make = watched  # type: ignore[method-assign]
    arguments: Sequence[str] = sys.argv[3:]
    sys.argv = ["translator", *arguments]
    main()
