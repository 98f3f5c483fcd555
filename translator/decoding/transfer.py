"""Between the device and the host: what a step has chosen comes over at once, and who stays goes back."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_host(tensors: Sequence[Tensor]) -> list[NDArray[Any]]:
    """Bring tensors `[M, ?]` to the host in one transfer, so that a step waits but one time.

    Those that are there already share their memory.

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


def with_few_moves(keep: NDArray[Any]) -> NDArray[Any]:
    """Return the rising places `keep` [M] of the sentences that stay, in an order that leaves most where they are.

    The last ones fill the gaps, so that a model moves its memory of as few sentences as possible.
    """
    places = np.arange(len(keep))
    inside = keep < len(keep)
    places[np.setdiff1d(places, keep[inside], assume_unique=True)] = keep[~inside]
    return places
