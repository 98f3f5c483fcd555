"""The data types of a search: the request for one sentence, a finished hypothesis, and the length penalty."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

Number = TypeVar("Number", float, np.ndarray[Any, Any])

_GNMT_EXPONENT = 0.75
"""((5 + n) / 6) ** alpha grows like n ** (0.75 * alpha) around n = 15."""


@dataclass(frozen=True)
class LengthPenalty:
    """The divisor of a hypothesis's log-probability, as a function of its length n.

    n counts the end token, so the empty hypothesis has length 1. The divisor never falls as n grows.
    """

    kind: Literal["gnmt", "mean"] = "gnmt"
    """gnmt: ((5 + n) / 6) ** alpha (Wu et al. 2016, equation 14); mean: n ** alpha."""
    alpha: float = 0.6
    """0 turns the penalty off."""

    def __call__(self, length: Number) -> Number:
        base = length if self.kind == "mean" else (5.0 + length) / 6.0
        divisor: Number = base**self.alpha
        return divisor

    @property
    def exponent(self) -> float:
        """The x for which n ** x, the only penalty of other libraries, is this penalty or grows like it (gnmt)."""
        return self.alpha * (1.0 if self.kind == "mean" else _GNMT_EXPONENT)


class Request(NamedTuple):
    """One sentence to translate, in token ids without special tokens."""

    source: tuple[int, ...]
    """If it is empty, the answer is the empty hypothesis with log-probability 0 and the model is not called."""
    prefix: tuple[int, ...] = ()
    """Tokens that every hypothesis begins with; they count in its log-probability like the others."""
    banned: tuple[str, ...] = ()
    """Text that no hypothesis may contain at the beginning of a word, however it is split into tokens."""
    required: tuple[tuple[int, ...], ...] = ()
    """Token sequences that every hypothesis must contain; only beam search can do this."""


class Hypothesis(NamedTuple):
    """A complete translation."""

    tokens: tuple[int, ...]
    """Token ids, without the end token."""
    log_probability: float
    """Natural logarithm, summed over the tokens and the end token; NaN if it was not asked for."""
    score: float
    """What hypotheses are ranked by: `log_probability` minus penalties, divided by the length penalty."""
