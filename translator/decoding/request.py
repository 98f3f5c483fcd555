"""What a search is asked for one sentence, and what it answers."""

from dataclasses import dataclass


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
