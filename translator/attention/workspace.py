"""Memory that is used again: on the CPU, fresh memory costs several times what it costs to fill it.

The system makes it page by page when it is first touched.
"""

import math

from torch import Tensor


class Workspace:
    """Large tensors by name, for one user at a time, that begin where those of the last user began."""

    def __init__(self) -> None:
        self._memory: dict[str, Tensor] = {}

    def take(self, name: str, like: Tensor, *size: int) -> Tensor:
        """Return a tensor of this size, with the device and dtype of `like`, that holds whatever was there before."""
        memory, numbers = self._memory.get(name), math.prod(size)
        if memory is None or memory.numel() < numbers or (memory.dtype, memory.device) != (like.dtype, like.device):
            memory = self._memory[name] = like.new_empty(numbers)
        return memory[:numbers].view(size)
