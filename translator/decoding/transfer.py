"""Between the device and the host: what a step has chosen comes over at once, so that a step waits but one time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_host(tensors: Sequence[Tensor]) -> list[NDArray[Any]]:
    """Bring tensors `[M, ?]` to the host in one transfer; those that are there already share their memory.

    Ids survive the way through float64, in which they travel.
    """
    if tensors[0].device.type == "cpu":
        return [tensor.numpy() for tensor in tensors]
    joined = torch.cat([tensor.double() for tensor in tensors], dim=1).cpu().numpy()
    parts = np.split(joined, np.cumsum([tensor.size(1) for tensor in tensors])[:-1], axis=1)
    return [
        part if tensor.is_floating_point() else part.astype(np.int64)
        for part, tensor in zip(parts, tensors, strict=True)
    ]
