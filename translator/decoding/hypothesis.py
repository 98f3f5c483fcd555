"""What a search is asked for one sentence, and what it answers."""

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


@dataclass(frozen=True)
class Request:
    """One sentence to translate, in piece ids without marks."""

    source: tuple[int, ...]
    """Without pieces, the answer is the empty hypothesis with log-probability 0; the model is not asked."""
    prefix: tuple[int, ...] = ()
    """What every hypothesis begins with; its log-probability counts like that of the rest."""
    banned: tuple[str, ...] = ()
    """Text that no hypothesis holds at the beginning of a word, however its pieces are cut."""
    required: tuple[tuple[int, ...], ...] = ()
    """Sequences of pieces that every hypothesis holds."""


@dataclass(frozen=True)
class Hypothesis:
    """A complete translation in piece ids, with its natural log-probability, end mark included."""

    tokens: tuple[int, ...]
    """Piece ids, without the end mark."""
    log_probability: float
    """Sum over the pieces and the end mark; NaN where it was not asked for."""
    score: float
    """What hypotheses are ranked by: `log_probability` less penalties, divided by the length penalty."""
