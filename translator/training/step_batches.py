"""The batches of one optimizer step after another: accumulated ones, for every rank of a job."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from translator.data.batches import Batch
from translator.distributed import World
from translator.training.batch_loader import BatchLoader
from translator.training.progress import Position


class StepBatches(NamedTuple):
    """What an update is computed on."""

    batches: list[Batch]
    """Those of this rank."""
    indices: list[np.ndarray]
    """The indices of the training pairs of all ranks, an array for each batch."""
    end: Position
    """The position in the data afterwards."""


def batches_of_steps(
    loader: BatchLoader, position: Position, step: int, accumulate: int, world: World, device: torch.device
) -> Iterator[StepBatches]:
    """Yield the batches of every step after `step`, endlessly, beginning at a position in the data.

    A step takes `accumulate` batches on each rank of `world`. They stay on the CPU, pinned if `device` is a GPU.
    """
    plan = loader.after(position, step)
    for steps in itertools.count(step + 1):
        planned = list(itertools.islice(plan, accumulate * world.size))
        batches = [loader.load(one) for one in planned[world.rank :: world.size]]
        if device.type == "cuda":
            # Only from pinned memory does a copy to the device not keep the host waiting.
            batches = [batch.pin_memory() for batch in batches]
        end = planned[-1].end
        if loader.begins_stage(steps):
            end = end.next_epoch()
            plan = loader.after(end, steps)
        yield StepBatches(batches, [one.indices for one in planned], end)
