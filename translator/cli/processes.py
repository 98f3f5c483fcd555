"""Commands that several processes share: started here for `devices`, or by torchrun, which also joins machines."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from translator.config import Config
    from translator.distributed.world import World


@contextlib.contextmanager
def shared_by_processes(read: Callable[[], "Config"]) -> Iterator[tuple["Config", "World"]]:
    """Yield the settings of a command, as `read` returns them, and the processes that run the block together.

    If `devices` is above 1 and this process is not one of a job yet, the block is not run here: that many processes
    are started with the same arguments, and the program exits as they do. Each process has a device of its own. In a
    job the settings are read after joining it, so that one process reports mistakes for all.
    """
    from translator.distributed.launch import PROGRAM, is_worker, launch
    from translator.distributed.world import join_world

    config = None if is_worker() else read()
    if config is not None and config.devices > 1:
        raise typer.Exit(launch(config.devices, config.device, [PROGRAM, *sys.argv[1:]]))
    with join_world() as world:
        config = config or read()
        world.take_device(config.device)
        yield config, world
