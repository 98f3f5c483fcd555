"""Whether the largest batch fits into memory, found out before the first step and not hours later."""

import os
import resource
from collections.abc import Callable
from pathlib import Path

import torch

from translator.config import Config
from translator.errors import DeviceError
from translator.runtime.console import say
from translator.runtime.device import is_out_of_memory
from translator.training.batches import Batches
from translator.training.update import Updater

SMALLEST, LARGEST = 512, 32_768
"""Between these `batch_tokens: auto` looks; larger batches make training slower, not better."""
_KEPT_FREE = 0.15


def try_largest_batch(update: Updater, batches: Batches, batch_tokens: int) -> None:
    """Do one step, which changes nothing, with the batches that need most memory, and say what it took.

    Call it before a checkpoint is loaded: the optimizer's state is gone afterwards. Raises `DeviceError` that says
    which settings to change.
    """
    device = update.machine.device
    if not _fits(update, batches):
        raise DeviceError(
            f"out of memory in a step with the largest batch, {batch_tokens:,} target tokens ({_total(device)}). Lower "
            f"training.batch_tokens, to {max(SMALLEST, batch_tokens // 2):,} perhaps, and raise training.accumulate by "
            "the same factor for the same training; or lower data.max_length, or take a smaller preset. "
            "training.batch_tokens=auto finds the largest that fits"
        )
    say(f"the largest batch fits: {_peak(device) / 2**30:.2f} GiB at the peak ({_total(device)})")


def find_batch_tokens(config: Config, make_batches: Callable[[Config], Batches], update: Updater) -> int:
    """Find the largest `training.batch_tokens` that fits, with a margin, between `SMALLEST` and `LARGEST`.

    Every rank tries the same sizes, and one that fits on all of them is returned. Raises `DeviceError` where not
    even the smallest fits.
    """

    def fits(size: int) -> bool:
        training = config.training.model_copy(update={"batch_tokens": size})
        batches = make_batches(config.model_copy(update={"training": training}))
        return _fits(update, batches, keep_free=_KEPT_FREE)

    good, bad = 0, LARGEST + 1
    size = SMALLEST
    while size < bad:
        if fits(size):
            good, size = size, size * 2
        else:
            bad = size
    while bad - good > max(64, good // 16) and good and good < LARGEST:
        middle = (good + bad) // 2 // 64 * 64
        if fits(middle):
            good = middle
        else:
            bad = middle
    if not good:
        raise DeviceError(
            f"training.batch_tokens: not even {SMALLEST:,} target tokens fit into memory "
            f"({_total(update.machine.device)}); take a smaller preset or lower data.max_length"
        )
    say(f"training.batch_tokens: {good:,} is the largest that fits ({_total(update.machine.device)})")
    return good


def _fits(update: Updater, batches: Batches, keep_free: float = 0.0) -> bool:
    """Try a step at learning rate zero on every rank; tell whether it went well on all of them."""
    device = update.machine.device
    fitted = True
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    before = _available_on_host() + _peak(device)
    try:
        update.model.train()
        for batch in batches.hardest():
            update.rehearse(batch)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if not update.parallel.can_repeat:
            raise DeviceError(
                "out of memory in a step with the largest batch on one of the sharded processes; lower "
                "training.batch_tokens and raise training.accumulate"
            ) from error
        fitted = False
    update.forget()
    total = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else before
    fitted = fitted and _peak(device) <= total * (1.0 - keep_free)
    return not update.world.sum([not fitted])[0]


def peak_bytes(device: torch.device) -> int:
    """The most memory that this process has used: of the device, or resident on the host."""
    return _peak(device)


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _total(device: torch.device) -> str:
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return f"{name} has {torch.cuda.get_device_properties(device).total_memory / 2**30:.1f} GiB"
    return f"{_available_on_host() / 2**30:.1f} GiB are free on this machine"


def _available_on_host() -> int:
    """Bytes that the host can still give this process: what the kernel says, or what its container may use."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):
        return free
    return min(free, limit - used)
