"""A process of a job in which something goes wrong, or nothing does.

python job.py DIRECTORY talk|wait|save|restart
"""

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from translator.distributed.world import World, join_world
from translator.errors import DataError
from translator.training.signals import Interruption


def talk(world: World, directory: Path) -> None:
    """Use every way of talking, and leave in a file what came of it; then one fails while the others wait for it."""
    file = directory / "made by the main process"

    def work() -> bool:
        there = file.exists()
        while world.is_main and len(list(directory.glob("arrived-*"))) < world.size - 1:
            time.sleep(0.01)
        if world.is_main:
            file.touch()
        return there

    def square(items: Sequence[int]) -> list[tuple[int, int]]:
        return [(item * item, world.rank) for item in items]

    with join_world() as again:
        joined_twice = again is not world
    if not world.is_main:
        (directory / f"arrived-{world.rank}").touch()
    found = {
        "was there": world.main_first(work),
        "again": world.main_first(lambda: world.rank),
        "from main": world.from_main(lambda: {"rank": world.rank}),
        "sum": world.sum([world.rank, 2**-30, 2**40 + world.rank]),
        "gathered": world.gather({"rank": world.rank}),
        "divided": [world.divide(range(count), square) for count in (0, 1, 7)],
        "device": str(world.device("cpu")),
        "main": world.is_main,
        "joined twice": joined_twice,
    }
    world.barrier()
    (directory / f"talk-{world.rank}.json").write_text(json.dumps(found))
    if world.rank == 1:
        (directory / "failed").touch()
        raise ValueError("the reason")
    if world.rank == 0:
        world.sum([1.0])
    world.main_first(lambda: None)


def wait(world: World, directory: Path) -> None:
    """Wait, whatever SIGTERM says, until killed."""
    with Interruption():
        world.barrier()
        (directory / f"pid-{world.rank}").write_text(str(os.getpid()))
        while True:
            signal.pause()


def save(world: World, directory: Path) -> None:
    """Finish the step when interrupted, save, and leave together."""
    with Interruption() as interruption:
        world.barrier()
        (directory / f"pid-{world.rank}").write_text(str(os.getpid()))
        while not sum(world.sum([interruption.signal is not None])):
            pass
        code = max(world.gather(interruption.exit_code))
        world.main_first(lambda: (directory / f"saved-{world.rank}").write_text(os.environ["OMP_NUM_THREADS"]))
    raise SystemExit(code)


def restart(world: World, directory: Path) -> None:
    """Fail at the first attempt."""
    first = world.main_first(lambda: not (directory / "attempted").exists())
    world.barrier()
    if world.rank == 1 and first:
        (directory / "attempted").touch()
        raise DataError("train.de is damaged")
    world.barrier()
    if world.rank == 1:
        (directory / "completed").write_text(os.environ["TORCHELASTIC_RESTART_COUNT"])


if __name__ == "__main__":
    # What a program inherits from a shell or a test runner may be to ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with join_world() as world:
        {"talk": talk, "wait": wait, "save": save, "restart": restart}[sys.argv[2]](world, Path(sys.argv[1]))
