"""The step model: everything that a search knows about a model.

Every search is written against this protocol. It can therefore be tested on a table of numbers, and it works for
anything that predicts the next token: a Transformer (`translator.inference`), an ensemble or another library.
The two functions at the end move data between a search, which decides on the host, and its step model.

Shapes: N sentences, K hypotheses per sentence (one at first), V vocabulary.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

State = Any
"""What a model keeps about a batch between two steps; the search owns it but does not look inside."""


class StepModel(Protocol):
    """A model that predicts the next token of every hypothesis."""

    bos_id: int
    """The begin token, which is fed first and is not part of a hypothesis."""
    eos_id: int
    """The end token, which ends a hypothesis and is not part of it."""
    max_length: int | None
    """Maximum number of tokens in a hypothesis, if the model has a limit."""

    @property
    def device(self) -> torch.device:
        """The device of the logits, on which `step` and `select` expect their arguments."""
        ...

    def start(self, sources: Sequence[Sequence[int]], width: int, capacity: int) -> State:
        """Begin N sentences (token ids without special tokens, none empty) with one hypothesis each.

        `select` will never ask for more than `width` hypotheses per sentence, and `step` will be called at most
        `capacity` times.
        """
        ...

    def step(self, tokens: Tensor, state: State) -> Tensor:
        """Append `tokens` [N, K] to the hypotheses and return the logits of the next token [N, K, V].

        The logits need not be normalised. The caller may overwrite them.
        """
        ...

    def select(self, state: State, sentences: Tensor | None, parents: Tensor) -> State:
        """Keep the sentences with indices `sentences` [M] (None: all, in order) and choose their hypotheses again.

        Hypothesis k of kept sentence m continues hypothesis `parents[m, k]` of that sentence. Their number may grow or
        shrink. The old state must not be used again.
        """
        ...

    def free_device_memory(self) -> None:
        """Drop what earlier searches have left for later ones; called when memory has run out."""
        ...


def to_host(tensors: Sequence[Tensor]) -> list[NDArray[Any]]:
    """Copy tensors [M, ?] to the host in a single transfer, so that a step waits for the device once.

    Tensors on the CPU are returned as views. Others travel as float64, which represents token ids exactly.
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
    """Reorder `keep` [M], the ascending indices of the sentences to keep, so that most sentences keep their index.

    The last sentences fill the gaps, so a model moves the state of as few sentences as possible.
    """
    order = np.arange(len(keep))
    inside = keep < len(keep)
    order[np.setdiff1d(order, keep[inside], assume_unique=True)] = keep[~inside]
    return order
