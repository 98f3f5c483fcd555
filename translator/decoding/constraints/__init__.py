"""What translations must and must not contain: prefix, banned and required phrases, repetitions, lengths.

`rules.py` states the rules of one sentence, `tracker.py` follows the hypotheses of a batch and edits their logits, and
`automata.py` finds phrases in text and in token sequences.
"""

from translator.decoding.constraints.automata import BannedText, TokenBytes
from translator.decoding.constraints.rules import Rules

__all__ = [
    "BannedText",
    "Rules",
    "TokenBytes",
]
