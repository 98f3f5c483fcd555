"""What translations must and must not hold: banned and required phrases, repetitions, lengths."""

from translator.decoding.constraints.automata import BannedText, TokenBytes
from translator.decoding.constraints.rules import Rules

__all__ = [
    "BannedText",
    "Rules",
    "TokenBytes",
]
