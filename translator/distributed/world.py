"""The processes of a job as torchrun started them: which one this is, and how they exchange numbers on the host.

Only a few numbers and small objects are exchanged here; gradients are summed in `translator.training.parallel`.
"""

import base64
import contextlib
import datetime
import itertools
import os
import pickle
import sys
import time
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist

from translator.distributed.failure_watch import Watch, process_identity
from translator.distributed.launch import is_worker
from translator.errors import DeviceError
from translator.runtime.console import silence
from translator.runtime.counted import counted
from translator.runtime.failures import describe_error
from translator.runtime.printable import printable

Result = TypeVar("Result")
Item = TypeVar("Item")

# A process that stays away longer is deadlocked, not slow; the watch finds those that die, in seconds.
_COLLECTIVE_TIMEOUT = datetime.timedelta(hours=2)
_JOINING_SECONDS = 600.0
_POLL_SECONDS = 0.05
_current: "World | None" = None
_LOST_PEER = ("gloo", "nccl", "connection closed", "connection reset", "broken pipe", "tcpstore")


class World:
    """The processes that train together, seen from one of them; `World()` is a single process."""

    def __init__(
        self, rank: int = 0, local_rank: int = 0, size: int = 1, watch: Watch | None = None, local_size: int = 1
    ) -> None:
        self.rank = rank
        """Index of this process in the job."""
        self.local_rank = local_rank
        """Index of this process on its machine."""
        self.size = size
        """Processes of the job."""
        self.local_size = local_size
        """Processes of the job on this machine."""
        self._watch = watch
        self._turns = itertools.count()

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def device(self, kind: str) -> torch.device:
        """Take this process's device of a kind, `cpu` or `cuda`, and make it the current one.

        Raises `DeviceError` if there are more processes on a machine than CUDA devices.
        """
        if kind != "cuda":
            return torch.device(kind)
        count = torch.cuda.device_count()
        if self.local_rank >= count:
            raise DeviceError(
                f"process {self.local_rank + 1} of this machine finds only {counted(count, 'CUDA device')}; start at "
                f"most {counted(count, 'process', 'processes')} (devices={count}) or set device=cpu"
            )
        torch.cuda.set_device(self.local_rank)
        return torch.device("cuda", self.local_rank)

    def take_device(self, wanted: str) -> None:
        """Make a CUDA device of its own the current one of each of several processes, unless `wanted` is `cpu`."""
        if self.size > 1 and wanted != "cpu" and torch.cuda.is_available():
            self.device("cuda")

    def sum(self, values: Sequence[float]) -> list[float]:
        """Sum each of a few numbers over the processes, in double precision; the device is not touched."""
        if self.size == 1:
            return [float(value) for value in values]
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total)
        return total.tolist()

    def gather(self, value: Item) -> list[Item]:
        """Collect a small object from every process, on every process, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def divide(self, items: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Result]]) -> list[Result]:
        """Apply `work` to a share of the items in every process; all processes get one result per item, in order."""
        shares = self.gather(list(work(items[self.rank :: self.size])))
        return [shares[index % self.size][index // self.size] for index in range(len(items))]

    def main_first(self, work: Callable[[], Result]) -> Result:
        """Do `work` on the main process while the others wait, for hours if need be; then they do it too.

        For work that leaves files for the others to find. All processes must call it.
        """
        if self._watch is None:
            return work()
        key = f"main_first/{next(self._turns)}"
        if not self.is_main:
            self._wait_for(key)
            return work()
        result = work()
        self._watch.store.set(key, "done")
        return result

    def from_main(self, work: Callable[[], Result]) -> Result:
        """Do `work` on the main process alone while the others wait, for hours if need be; all return what it returned.

        The result must be picklable and small. All processes must call it.
        """
        if self._watch is None:
            return work()
        key = f"from_main/{next(self._turns)}"
        if not self.is_main:
            self._wait_for(key)
            found: Result = pickle.loads(base64.b85decode(self._watch.store.get(key)))
            return found
        result = work()
        self._watch.store.set(key, base64.b85encode(pickle.dumps(result)).decode())
        return result

    def _wait_for(self, key: str) -> None:
        """Wait until the main process has set a key of the store, whose own waiting would end after its timeout."""
        while self._watch is not None and not self._watch.store.check([key]):
            time.sleep(_POLL_SECONDS)

    def barrier(self) -> None:
        """Wait until every process has reached this point."""
        self.sum([0.0])

    def close(self) -> None:
        """Leave the job, together with all others: torchrun ends those that stay longer than the first one."""
        if self._watch is None:
            return
        self._watch.leave(self.size)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dist.destroy_process_group()
        self._watch = None


@contextlib.contextmanager
def join_world() -> Iterator[World]:
    """Join the job that the environment describes (torchrun's RANK, WORLD_SIZE, ...), or be a world of one.

    If the block raises, this process says why and ends, and so do all others within seconds, silently: what is
    printed first is the cause. A process that is killed ends the others too. Processes that have agreed to stop leave
    by `SystemExit` with 0, 129, 130 or 143; the others must leave as well. A block inside such a block gets the same
    world.
    """
    global _current
    if _current is not None:
        yield _current
        return
    if not is_worker() or int(os.environ["WORLD_SIZE"]) == 1:
        yield World()
        return
    rank = int(os.environ["RANK"])
    if rank:
        silence()
    try:
        world, watch = _join(rank)
    except Exception as error:
        _report(rank, error)
        _end(1)
    _current = world
    try:
        yield world
        _current = None
        world.close()
    except BaseException as error:
        if isinstance(error, SystemExit) and error.code in (None, 0, 129, 130, 143):
            _current = None
            world.close()
            raise
        _fail(rank, watch, error)


def _join(rank: int) -> tuple[World, Watch]:
    size = int(os.environ["WORLD_SIZE"])
    # The second connection is for the watch alone, so that no blocking call of the process group delays it.
    stores = [_connect(host=rank == 0), _connect(host=False)]
    prefix = _agree_on_name(stores[0], rank, size)
    group, own = (dist.PrefixStore(f"{prefix}/{name}", store) for name, store in zip("gw", stores, strict=True))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=group, rank=rank, world_size=size, timeout=_COLLECTIVE_TIMEOUT)
    identities: list[Any] = [None] * size
    dist.all_gather_object(identities, process_identity())
    watch = Watch(own, rank, {peer: identity for peer, identity in enumerate(identities) if peer != rank})
    watch.start()
    local_rank, local_size = (
        int(os.environ.get(name, other)) for name, other in (("LOCAL_RANK", rank), ("LOCAL_WORLD_SIZE", size))
    )
    return World(rank, local_rank, size, watch, local_size), watch


def _connect(host: bool) -> dist.TCPStore:
    """Connect to the job's store, which is in torchrun or, without it, in the process that must `host` it."""
    in_torchrun = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return dist.TCPStore(address, port, is_master=host and not in_torchrun, wait_for_workers=False)


def _agree_on_name(store: dist.Store, rank: int, size: int) -> str:
    """Agree on a name that all processes of this start know, and that no earlier start has used.

    Torchrun starts processes again, after a failure or when machines join, with the store that they had: what is in
    it may be left over. Each process says hello under a name of its own and believes only the answer to it. Raises
    `DeviceError` if not all processes start.
    """
    hello, job = uuid.uuid4().hex, uuid.uuid4().hex
    store.set(f"hello/{rank}", hello)
    deadline = time.monotonic() + _JOINING_SECONDS
    while time.monotonic() < deadline:
        if rank == 0:
            for peer in range(size):
                if store.check([f"hello/{peer}"]):
                    store.set(f"answer/{store.get(f'hello/{peer}').decode()}", job)
        if store.check([f"answer/{hello}"]):
            job = store.get(f"answer/{hello}").decode()
            store.set(f"{job}/here/{rank}", "")
            if rank or store.check([f"{job}/here/{peer}" for peer in range(size)]):
                return job
        time.sleep(_POLL_SECONDS)
    raise DeviceError(
        f"not all of the {size} processes of the job have started within {_JOINING_SECONDS:.0f} seconds; look at the "
        f"output of the others, and whether {os.environ['MASTER_ADDR']} can be reached from all machines"
    )


def _fail(rank: int, watch: Watch, error: BaseException) -> NoReturn:
    """End this process because of `error`; the first that fails says why, the others end silently."""
    if isinstance(error, KeyboardInterrupt):
        watch.announce()
        _end(130)
    if _is_lost_peer(error):
        # The other process has died, and the watch will end this one within this time; if not, report this error.
        time.sleep(watch.patience_seconds)
    if watch.claim():
        _report(rank, error)
        watch.announce()
    # The watch ends this process, like all others, as soon as the one that reports has finished.
    time.sleep(watch.patience_seconds)
    _end(1)


def _is_lost_peer(error: BaseException) -> bool:
    """Whether a collective failed because another process is gone."""
    text = str(error).lower()
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and any(word in text for word in _LOST_PEER)
    )


def _report(rank: int, error: BaseException) -> None:
    """Print an explained error as a sentence, any other with its traceback, in one piece."""
    if _is_lost_peer(error):
        sentence: str | None = (
            "another process of the job no longer answers: its machine, or the network in between, has failed "
            f"({error}). Start the job again, with as many processes as you like: it continues from what was saved"
        )
    else:
        sentence = describe_error(error)
    if sentence is not None:
        text = f"error: rank {rank}: {sentence}\n"
    else:
        text = f"error: rank {rank} failed:\n" + "".join(traceback.format_exception(error))
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(printable(text))


def _end(code: int) -> NoReturn:
    """Exit at once: an orderly shutdown would wait for collectives that never end."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)
