"""Length penalties: what a log-probability is divided by, so that long hypotheses can win."""

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

Number = TypeVar("Number", float, np.ndarray[Any, Any])


@dataclass(frozen=True)
class LengthPenalty:
    """The divisor of a hypothesis's log-probability, a function of its length n.

    n counts the end mark, so that the empty hypothesis has length 1. The divisor never falls as n grows.
    """

    kind: Literal["gnmt", "mean"] = "gnmt"
    """gnmt: ((5 + n) / 6) ** alpha (Wu et al. 2016, equation 14); mean: n ** alpha."""
    alpha: float = 0.6
    """0 turns the penalty off."""

    def __call__(self, length: Number) -> Number:
        return length**self.alpha if self.kind == "mean" else ((5.0 + length) / 6.0) ** self.alpha
