"""What comes back for a line: its translations with everything that is known about them, and how they are written."""

import json
import math
from typing import NamedTuple

from translator.translation.word_alignment import pharaoh

FORMATS = ("text", "tsv", "jsonl")
_DIGITS = 6
"""Decimal places of scores."""


class Translation(NamedTuple):
    """One translation of a line."""

    text: str
    log_probability: float = math.nan
    """Sum over the pieces and the end-of-sentence token, in nats; NaN if it was not asked for."""
    score: float = math.nan
    """What translations are ranked by, as in `Hypothesis`; with minimum Bayes risk the expected likeness, 0 to 100."""
    pieces: tuple[str, ...] = ()
    """As written in the vocabulary, where U+2581 begins a word; empty if they were not asked for."""
    alignment: tuple[tuple[int, int], ...] = ()
    """Aligned words (source, target), counted from 0; empty if they were not asked for."""
    characters: tuple[tuple[int, int, int, int], ...] = ()
    """Aligned characters: begin and end in the source, begin and end in the text."""


class TranslatedLine(NamedTuple):
    """A line and its translations, best first; none if the settings or numbers that are not finite leave nothing."""

    source: str
    """The line as it was read, without its line feed."""
    translations: tuple[Translation, ...]
    warnings: tuple[str, ...] = ()
    """What was done to the line that its reader should know."""
    seconds: float = 0.0
    """Time that all lines took that were translated together with this one."""
    engine: str = ""
    """Name of the engine that translated it."""

    @property
    def text(self) -> str:
        """The best translation as a line of text: without line feeds, and ending with `\\r` if the source does."""
        best = self.translations[0].text if self.translations else ""
        # A model that spells in bytes can write any character, including the one that ends a line.
        best = best.replace("\n", " ")
        return best + "\r" if self.source.endswith("\r") else best


def format_translations(line: TranslatedLine, number: int, form: str) -> str:
    """Write line `number` (from 1) without a line feed at the end.

    `text` is the best translation alone. `tsv` is a row for each translation (or one row without text): number of the
    line, rank from 1, score, log-probability, and the text with spaces for tabs; unknown numbers are empty. `jsonl` is
    an object: source, hypotheses (text, score, log_probability, pieces, alignment), seconds, engine and warnings.
    """
    if form == "text":
        return line.text
    if form == "tsv":
        ranked = line.translations or (Translation(""),)
        return "\n".join("\t".join(_columns(number, rank, own)) for rank, own in enumerate(ranked, start=1))
    hypotheses = [
        {
            "text": own.text,
            "score": rounded(own.score),
            "log_probability": rounded(own.log_probability),
            "pieces": own.pieces,
            "alignment": pharaoh(own.alignment),
        }
        for own in line.translations
    ]
    whole = {
        "source": line.source,
        "hypotheses": hypotheses,
        "seconds": round(line.seconds, 3),
        "engine": line.engine,
        "warnings": line.warnings,
    }
    # A lone surrogate has no UTF-8 form, but JSON has an escape for it.
    text = json.dumps(whole, ensure_ascii=False)
    return text if text.isascii() or _is_encodable(text) else json.dumps(whole)


def rounded(value: float) -> float | None:
    """Round a figure for people; None for one that is not finite, which JSON cannot express."""
    # Adding 0 turns -0 into 0.
    return round(value, _DIGITS) + 0.0 if math.isfinite(value) else None


def _columns(number: int, rank: int, own: Translation) -> list[str]:
    figures = ["" if value is None else str(value) for value in map(rounded, (own.score, own.log_probability))]
    text = own.text.replace("\t", " ").replace("\r", " ").replace("\n", " ")
    return [str(number), str(rank), *figures, text]


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
