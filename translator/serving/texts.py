"""The texts of a request as lines for a model, and the answers put together again.

Line feeds stay where they are. With markup, a text is taken apart into segments (`translation/markup/`), so that the
segments of a document share batches with other requests.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from translator.translation import ConstrainedLine, TranslatedLine, Translation
from translator.translation.markup import MarkedLine, Marking

_ENOUGH = 2_000
"""Characters by which a language is detected (`detection.py`)."""
_BEGINNING = 20_000
"""Characters in which there are usually so many that are no markup."""


class TranslatedText(NamedTuple):
    """The translations of a text, best first."""

    texts: tuple[str, ...]
    lines: list[TranslatedLine]
    """The lines that were translated, for scores and alignments."""


class PlainText:
    """A text of lines."""

    def __init__(self, text: str, prefix: str = "") -> None:
        """`prefix` is what the translation of every line begins with."""
        lines = text.split("\n")
        self.lines: list[str | ConstrainedLine] = [*lines]
        if prefix:
            self.lines = [ConstrainedLine(line, prefix=prefix) for line in lines]

    def joined(self, lines: Sequence[TranslatedLine]) -> TranslatedText:
        """Put the text together; its second-best translation has the second best of each line."""
        count = max((len(line.translations) for line in lines), default=0)
        texts = ["\n".join(_of_rank(line, rank) for line in lines) for rank in range(max(1, count))]
        return TranslatedText(tuple(dict.fromkeys(texts)), list(lines))


class MarkedText:
    """A text with markup or protected strings."""

    def __init__(self, text: str, marking: Marking) -> None:
        # Tags may reach over several lines, but strings without markup do not.
        self._texts = [MarkedLine.read(text, marking)] if marking.markup != "none" else []
        self._texts = self._texts or [MarkedLine.read(line, marking) for line in text.split("\n")]
        self._end = "\n" if marking.markup != "none" and text.endswith("\n") else ""
        self.lines = [segment.text for marked in self._texts for segment in marked.segments]

    def joined(self, lines: Sequence[TranslatedLine]) -> TranslatedText:
        """Put the text together, given the translations of its segments."""
        rest = iter(lines)
        translated = [marked.translated([next(rest) for _ in marked.segments]) for marked in self._texts]
        count = max((len(line.translations) for line in translated), default=0)
        texts = [
            "\n".join(_with_line_feeds(line, rank) for line in translated) + self._end for rank in range(max(1, count))
        ]
        return TranslatedText(tuple(dict.fromkeys(texts)), translated)


def sample_of(texts: Iterable[str], markup: str) -> str:
    """Return text by which the language of texts is detected: the beginning of what is translated, without markup."""
    found = ""
    for text in texts:
        if text.strip():
            found += " " * bool(found) + (text[:_ENOUGH] if markup == "none" else _text_of(text, markup))
        if len(found) >= _ENOUGH:
            break
    return found


def _text_of(text: str, markup: str) -> str:
    """Return the text of the first segments: enough of them, or all."""
    found = ""
    for size in dict.fromkeys((min(_BEGINNING, len(text)), len(text))):
        found = " ".join(segment.text for segment in MarkedLine.read(text[:size], Marking(markup)).segments)
        if len(found) >= _ENOUGH:
            break
    return found


def alignment_of(line: TranslatedLine) -> list[list[int]]:
    """Return the aligned words of the best translation of a line, [source, target] from 0."""
    return [list(link) for link in line.translations[0].alignment] if line.translations else []


def characters_of(line: TranslatedLine) -> list[list[int]]:
    """Return the aligned characters of the best translation of a line, as `Translation.characters` has them."""
    return [list(link) for link in line.translations[0].characters] if line.translations else []


def score_of(line: TranslatedLine) -> dict[str, Any]:
    """Return the score and log-probability of the best translation of a line; null where there is none."""
    from translator.translation.result import rounded

    best = line.translations[0] if line.translations else Translation("")
    return {"score": rounded(best.score), "log_probability": rounded(best.log_probability)}


def _of_rank(line: TranslatedLine, rank: int) -> str:
    if rank == 0 or not line.translations:
        return line.text
    chosen = line.translations[min(rank, len(line.translations) - 1)]
    return TranslatedLine(line.source, (chosen,)).text


def _with_line_feeds(line: TranslatedLine, rank: int) -> str:
    """Return a translation whose line feeds are those of the text."""
    text = line.translations[min(rank, len(line.translations) - 1)].text if line.translations else ""
    return text + "\r" if line.source.endswith("\r") and not text.endswith("\r") else text
