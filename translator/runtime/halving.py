"""Work on batches that continues when memory runs out: a batch that did not fit is done again in halves."""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from translator.errors import DeviceError
from translator.runtime.console import warn
from translator.runtime.counted import counted
from translator.runtime.failures import is_out_of_memory

Item = TypeVar("Item")
Result = TypeVar("Result")


class Halving:
    """Does work on batches, in halves if memory runs out, and keeps later batches below the size that failed.

    Several threads may use one.
    """

    def __init__(self, device: torch.device, what: str, setting: str, free: Callable[[], None] | None = None) -> None:
        """`what` is a batch in messages ("a batch of translations"), and `setting` the one that makes batches smaller.

        `free` is called after a failure, to drop device memory that is kept for later use.
        """
        self._device, self._what, self._setting, self._free = device, what, setting, free
        self._largest: float = math.inf

    def __call__(
        self, work: Callable[[list[Item]], list[Result]], items: Sequence[Item], sizes: Sequence[int]
    ) -> list[Result]:
        """Return the results of `work` on the whole batch, or those of its parts one after the other.

        `sizes` is what each of the `items` takes, in tokens. `work` is repeated after a failure, so it must have no
        effect besides its results. Raises `DeviceError` if memory runs out for a single item.
        """
        items, total = list(items), sum(sizes)
        if total <= self._largest or len(items) == 1:
            try:
                return work(items)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(items) == 1:
                    raise DeviceError(
                        f"out of memory with {self._what} that has a single sentence ({counted(total, 'token')}); "
                        "take a smaller beam, fewer samples or a smaller model, or free memory that other programs use"
                    ) from error
            # Outside of the `except` block, because the error's traceback keeps the tensors of the failed attempt.
            self._recover(total, max(sum(own) for _, own in _halves(items, sizes)))
        parts = _halves(items, sizes)
        return [result for part, own in parts for result in self(work, part, own)]

    def _recover(self, total: int, half: int) -> None:
        if self._free is not None:
            self._free()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        # Other batches of about this size would fail as well.
        self._largest = min(self._largest, half)
        warn(
            f"out of memory in {self._what} of {counted(total, 'token')}; it is done again in halves, and later ones "
            f"are not larger than these. Lower {self._setting} if this comes often"
        )


def _halves(items: list[Item], sizes: Sequence[int]) -> list[tuple[list[Item], Sequence[int]]]:
    middle = len(items) // 2
    return [(items[:middle], sizes[:middle]), (items[middle:], sizes[middle:])]
