"""Whether the largest batch fits into memory, found out before the first step and not hours later."""

import time
from collections.abc import Callable

import torch

from translator.config import Config
from translator.config.training_time import training_hours
from translator.errors import DeviceError
from translator.runtime.console import say, warn
from translator.runtime.device_memory import available_bytes, describe_device_memory, peak_bytes
from translator.training.batch_loader import BatchLoader
from translator.training.update import Updater

SMALLEST, LARGEST = 512, 32_768
"""The range that `batch_tokens: auto` searches; larger batches make training slower, not better."""
_KEPT_FREE = 0.15


def try_largest_batch(update: Updater, batches: BatchLoader, batch_tokens: int) -> float:
    """Do one step, which changes nothing, with the batches that need the most memory, and say what it took.

    Returns the seconds of such a step. Call it before a checkpoint is loaded: the optimizer's state is gone afterwards.
    Raises a `DeviceError` that says which settings to change.
    """
    device = update.machine.device
    seconds = _try(update, batches)
    if seconds is None:
        raise DeviceError(
            f"out of memory in a step with the largest batch, {batch_tokens:,} target tokens "
            f"({describe_device_memory(device)}). Lower training.batch_tokens, for example to "
            f"{max(SMALLEST, batch_tokens // 2):,}, and raise training.accumulate by the same factor for the same "
            "training; or lower data.max_length, or take a smaller preset. training.batch_tokens=auto finds the "
            "largest that fits"
        )
    say(f"the largest batch fits: {peak_bytes(device) / 2**30:.2f} GiB at the peak ({describe_device_memory(device)})")
    return seconds


def warn_of_long_training(config: Config, seconds: float, epoch_tokens: int | None = None, processes: int = 1) -> None:
    """Warn, before the first step, if a training on the CPU would take more than a day at `seconds` a batch.

    `epoch_tokens` are the target tokens of an epoch; without them nothing is said of a run that `max_epochs` ends.
    """
    settings = config.training
    days = training_hours(settings, seconds, epoch_tokens, processes) / 24
    if days > 1 and (settings.max_epochs is None or epoch_tokens is not None):
        by_steps = days == training_hours(settings, seconds) / 24
        amount = f"{settings.max_steps:,} steps" if by_steps else f"{settings.max_epochs:,} epochs"
        smaller = "" if config.preset == "tiny" else "preset=tiny has the smallest model, or "
        warn(
            f"a step takes about {seconds:.1f} s on this CPU, so that the {amount} of this run "
            f"({config.preset}) may take {days:,.0f} days: {smaller}set training.max_steps to what there is time for, "
            "or train on a GPU"
        )


def find_batch_tokens(update: Updater, make_batches: Callable[[int], BatchLoader]) -> int:
    """Find the largest `training.batch_tokens` that fits, with a margin, between `SMALLEST` and `LARGEST`.

    `make_batches` makes a loader for a number of target tokens. Every rank tries the same sizes, and the largest that
    fits on all of them is returned. Raises `DeviceError` if not even the smallest fits.
    """
    device = update.machine.device
    limit = round(available_bytes(device) * (1.0 - _KEPT_FREE))
    idle = peak_bytes(device)
    good, bad, size = 0, LARGEST + 1, SMALLEST
    while size < bad:
        # A host kills a process that takes too much instead of refusing: what is expected to be too much is not tried.
        expected = idle + (peak_bytes(device) - idle) * size // good if good and device.type == "cpu" else 0
        if _all_agree(update, expected <= limit) and _try(update, make_batches(size), limit) is not None:
            good = size
        else:
            bad = size
        size = 2 * good if bad > LARGEST else (good + bad) // 2 // 64 * 64
        if good and bad <= LARGEST and bad - good <= max(64, good // 16):
            break
    if not good:
        raise DeviceError(
            f"training.batch_tokens: not even {SMALLEST:,} target tokens fit into memory "
            f"({describe_device_memory(device)}); take a smaller preset or lower data.max_length"
        )
    say(f"training.batch_tokens: {good:,} is the largest that fits ({describe_device_memory(device)})")
    return good


def _try(update: Updater, batches: BatchLoader, limit: int | None = None) -> float | None:
    """Try steps that change nothing, on every rank; return the seconds of one if all fitted, within `limit` bytes."""
    device = update.machine.device
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    update.state.model.train()
    largest = batches.largest()
    began = time.monotonic()
    fitted = update.rehearse(largest)
    seconds = (time.monotonic() - began) / len(largest)
    update.state.forget_steps()
    return seconds if _all_agree(update, fitted and (limit is None or peak_bytes(device) <= limit)) else None


def _all_agree(update: Updater, fits: bool) -> bool:
    return not update.world.sum([not fits])[0]
