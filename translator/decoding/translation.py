"""What comes back for a line: its translations in text, with what is known of them."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Translation:
    """One translation of a line."""

    text: str
    log_probability: float = math.nan
    """Sum over the pieces and the end mark, in nats; NaN where it was not asked for."""
    score: float = math.nan
    """What translations are ranked by, as in `Hypothesis`; with minimum Bayes risk the expected likeness, 0 to 100."""
    pieces: tuple[str, ...] = ()
    """As written in the vocabulary, U+2581 beginning a word; empty where they were not asked for."""
    alignment: tuple[tuple[int, int], ...] = ()
    """Linked words (source, target), counted from 0; empty where they were not asked for."""


@dataclass(frozen=True)
class TranslatedLine:
    """A line and its translations, best first; none where the rules or wrong numbers leave nothing."""

    source: str
    """The line as it was read, without its line feed."""
    translations: tuple[Translation, ...]
    warnings: tuple[str, ...] = ()
    """What was done to the line that its reader should know."""
    seconds: float = 0.0
    """From the beginning of the lines that were translated together to their end."""

    @property
    def text(self) -> str:
        """The best translation as a line of text: without line feeds, and ending with `\\r` if the source does."""
        best = self.translations[0].text if self.translations else ""
        # A model that spells in bytes can write any character, the one that ends a line included.
        best = best.replace("\n", " ")
        return best + "\r" if self.source.endswith("\r") else best
