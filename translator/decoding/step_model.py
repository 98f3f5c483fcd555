"""The step model: all that a search knows of a model.

Every search is written over it, so that it is tested on a table of numbers and works for whatever can
say what comes next: a Transformer, an ensemble or another engine.

Shapes: N sentences, K hypotheses of each (one at first), V vocabulary.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

State = Any
"""What a model remembers of a batch between two steps; owned by the search, opaque to it."""


class StepModel(Protocol):
    """A model that predicts the next piece of every hypothesis."""

    bos_id: int
    """What every hypothesis begins with; not part of its tokens."""
    eos_id: int
    """What ends a hypothesis; not part of its tokens."""
    max_length: int | None
    """Most pieces of a hypothesis, if the model has a limit."""

    @property
    def device(self) -> torch.device:
        """Where logits come from and tokens are expected."""
        ...

    def start(self, sources: Sequence[Sequence[int]], width: int, capacity: int) -> State:
        """Begin N sentences (piece ids without marks, none empty) with one hypothesis each.

        `select` will make at most `width` hypotheses of it; `step` will be called at most `capacity` times.
        """
        ...

    def step(self, tokens: Tensor, state: State) -> Tensor:
        """Append `tokens` [N, K] to the hypotheses; return the logits of the next piece [N, K, V].

        The logits need not be normalised and may be overwritten by the caller.
        """
        ...

    def select(self, state: State, sentences: Tensor | None, parents: Tensor) -> State:
        """Keep M sentences, rows [M] of the current ones (None: all, in order), and choose their hypotheses anew.

        Hypothesis k of sentence m continues the current hypothesis `parents[m, k]` of that sentence. There may be more
        or fewer of them than before. The state that was is spent.
        """
        ...
