"""Lines with markup or protected strings: taken apart, translated by segments, put together again."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from translator.translation.constrained_line import ConstrainedLine
from translator.translation.markup.projection import put_back
from translator.translation.markup.protect import protect
from translator.translation.markup.segment import Segment, make_segment
from translator.translation.markup.tokens import Token, find_borders, plain_characters, read_tokens
from translator.translation.result import TranslatedLine, Translation

Line = str | ConstrainedLine
TranslateBlock = Callable[[Sequence[Line]], list[TranslatedLine]]


class Marking(NamedTuple):
    """What of a line is not plain text."""

    markup: str = "none"
    """One of `MARKUPS`, or `subtitle`: a text of SubRip, with tags but without entities."""
    protect: tuple[str, ...] = ()
    """Kinds of strings and regular expressions (`decoding.protect`)."""

    def escape(self, text: str) -> str:
        """Write text so that it is not read as markup."""
        if self.markup in ("none", "subtitle"):
            return text
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@dataclass
class MarkedLine:
    """A line in parts: segments to translate, and strings that stay where they are."""

    source: str
    parts: list[Segment | str]
    marking: Marking

    @classmethod
    def read(cls, line: str, marking: Marking) -> "MarkedLine":
        """Take a line apart; its carriage return and line feed are left out."""
        source = line.removesuffix("\n")
        content = source.removesuffix("\r")
        if marking.markup == "none":
            tokens = [Token("text", content, characters=plain_characters(content))] if content else []
            borders = [False] * len(tokens)
        else:
            tokens = read_tokens(content, marking.markup)
            borders = find_borders(tokens, marking.markup)
        parts: list[Segment | str] = []
        run: list[Token] = []
        for token, border in [*zip(tokens, borders, strict=True), (None, True)]:
            if not border and token is not None:
                run.append(token)
                continue
            protected = protect(run, marking.protect)
            segment = make_segment(protected)
            parts.append(segment if segment is not None else "".join(own.raw for own in run))
            parts.append(token.raw if token is not None else "")
            run = []
        return cls(source, parts, marking)

    @property
    def segments(self) -> list[Segment]:
        """What is translated, in order."""
        return [part for part in self.parts if isinstance(part, Segment)]

    def translated(self, segments: Sequence[TranslatedLine]) -> TranslatedLine:
        """Put the line together, given the translations of its segments.

        Of its n-best translations, each consists of those of the same rank. Scores are sums and word alignments are
        those of the text without markup, counted through the segments.
        """
        count = max((len(own.translations) for own in segments), default=1)
        found = []
        # A segment without a translation must still give back its tags.
        by_segment = [own.translations or (Translation(""),) for own in segments]
        for rank in range(max(1, count)):
            chosen = [own[min(rank, len(own) - 1)] for own in by_segment]
            found.append(self._joined(chosen))
        warnings = tuple(dict.fromkeys(warning for own in segments for warning in own.warnings))
        seconds, engine = (segments[0].seconds, segments[0].engine) if segments else (0.0, "")
        return TranslatedLine(self.source, tuple(found), warnings, seconds, engine)

    def _joined(self, chosen: Sequence[Translation]) -> Translation:
        rest = iter(chosen)
        text = "".join(
            part if isinstance(part, str) else put_back(part, *_text_and_links(next(rest)), self.marking.escape)
            for part in self.parts
        )
        links: list[tuple[int, int]] = []
        source = target = 0
        for segment, own in zip(self.segments, chosen, strict=True):
            links += [(source + left, target + right) for left, right in own.alignment]
            source, target = source + len(segment.text.split()), target + len(own.text.split())
        pieces = tuple(piece for own in chosen for piece in own.pieces)
        score = chosen[0].score if len(chosen) == 1 else math.fsum(own.score for own in chosen)
        return Translation(text, math.fsum(own.log_probability for own in chosen), score, pieces, tuple(links))


def _text_and_links(translation: Translation) -> tuple[str, Sequence[tuple[int, int, int, int]]]:
    return translation.text, translation.characters


def translate_marked(
    blocks: Iterable[Sequence[Line]], marking: Marking, translate: TranslateBlock,
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[list[TranslatedLine]]:  # fmt: skip
    """Translate blocks of lines by their segments; yield them block by block, in order.

    `translate` must align the characters (`Translation.characters`). What a `ConstrainedLine` begins with or requires
    is asked of its first segment.
    """
    for block in blocks:
        lines = [MarkedLine.read(line if isinstance(line, str) else line.text, marking) for line in block]
        asked: list[Line] = []
        for wanted, marked in zip(block, lines, strict=True):
            for index, segment in enumerate(marked.segments):
                if isinstance(wanted, str):
                    asked.append(segment.text)
                elif index:
                    asked.append(replace(wanted, text=segment.text, prefix="", required=()))
                else:
                    asked.append(replace(wanted, text=segment.text))
        answers = iter(translate(asked))
        yield [marked.translated([next(answers) for _ in marked.segments]) for marked in lines]
        if on_progress is not None:
            on_progress(len(block))
