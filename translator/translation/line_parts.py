"""A line as the parts that are translated: its sentences if there are several, and nothing the model cannot take."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from translator.text import Tokenizer, with_tag
from translator.translation.constrained_line import ConstrainedLine
from translator.translation.line_requests import AskedPart, Target
from translator.translation.long_lines import Part, cut_into_sentences, cut_to_fit


@dataclass(slots=True)
class LineParts:
    """What is translated of a line: the parts that a model can take."""

    wanted: ConstrainedLine
    target: Target
    texts: list[str]
    """The text of each part."""
    parts: list[list[int]]
    """The pieces of each part; none for a blank line."""
    gaps: list[str] = field(default_factory=lambda: [""])
    """The white space after each part."""
    asked: list[AskedPart] = field(default_factory=list)
    """What is asked of an engine for each part."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class LineSplitter:
    """Encodes lines for a model, and splits those that are too long for it."""

    tokenizer: Tokenizer
    """Of the source side."""
    long_lines: str
    """What to do with long lines, as `decoding.long_lines`."""
    longest: int | None
    """Most pieces that the model takes; None if there is no limit."""
    usual: int | None
    """Most pieces of a line, tag included, that is not split into its sentences; without it, no line is."""
    longest_part: int | None
    """Most pieces of a part of a line that has to be split, if that is less than `longest`."""
    language: str | None
    """The code of the source language, which says where sentences end."""

    def __call__(self, wanted: Sequence[ConstrainedLine], targets: Sequence[Target]) -> list[LineParts]:
        """Return the parts of every line, for what it is translated into; a blank line has none."""
        contents = [content_of(line.text) for line in wanted]
        encoded = self.tokenizer.encode(contents)
        lines = []
        for own, target, text, pieces in zip(wanted, targets, contents, encoded, strict=True):
            (source,) = with_tag([pieces], target.tag)
            line = LineParts(own, target, [text], [source] if source else [])
            self._split(line, len(source))
            lines.append(line)
        return lines

    def _split(self, line: LineParts, pieces: int) -> None:
        """Split a line into its sentences if it has more pieces than usual, and shorten what the model cannot take."""
        longest, usual = self.longest, self.usual
        if self.long_lines == "split" and usual is not None and pieces > usual:
            room = _room(usual, line.target)
            sentences = cut_into_sentences(line.texts[0], self._count, room, self.language)
            if len(sentences) > 1:
                self._set_parts(line, sentences)
        if longest is not None and any(len(part) > longest for part in line.parts):
            self._shorten(line, longest)

    def _count(self, texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in self.tokenizer.encode(texts)]

    def _set_parts(self, line: LineParts, parts: Sequence[Part]) -> None:
        encoded = with_tag(self.tokenizer.encode([part.text for part in parts]), line.target.tag)
        # What normalisation leaves nothing of needs no translation.
        kept = [(part, pieces) for part, pieces in zip(parts, encoded, strict=True) if pieces]
        line.texts, line.gaps = [part.text for part, _ in kept], [part.gap for part, _ in kept]
        line.parts = [pieces for _, pieces in kept]

    def _shorten(self, line: LineParts, longest: int) -> None:
        """Do with a line of which a part is longer than `longest` pieces what the settings say."""
        what = f"longer than {longest} pieces, the model's limit"
        if self.long_lines == "blank":
            line.parts = []
            line.warnings = (f"{what}; left blank",)
        elif self.long_lines == "truncate":
            line.parts = [line.parts[0][:longest]]
            line.warnings = (f"{what}; the rest was left out",)
        else:
            room = _room(longest if self.longest_part is None else min(longest, self.longest_part), line.target)
            fitting: list[Part] = []
            for text, gap, pieces in zip(line.texts, line.gaps, line.parts, strict=True):
                *others, last = [Part(text, "")] if len(pieces) <= longest else cut_to_fit(text, self._count, room)
                fitting += [*others, Part(last.text, gap)]
            self._set_parts(line, fitting)
            # A character of many bytes may still be too long.
            line.parts = [part[:longest] for part in line.parts]
            line.warnings = (f"{what}; translated in parts",)


def _room(pieces: int, target: Target) -> int:
    """Return how many of `pieces` are left for text: a language tag takes one."""
    return max(1, pieces - (target.tag is not None))


def content_of(line: str) -> str:
    """Return what the model should see of a line; nothing of a blank one."""
    line = line.removesuffix("\n")
    if not line.strip():
        return ""
    line = line.removesuffix("\r")
    # A lone surrogate (half a character, from another program) has no UTF-8 form that a tokenizer could read.
    return line if line.isascii() else line.encode("utf-8", "replace").decode("utf-8")
