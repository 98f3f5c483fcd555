"""Lines in, translated lines out: as many and in the same order, whatever they hold.

Between the text of a line and an engine is everything that this project promises about lines: blank ones never reach
the model, long ones are translated in parts, and a warning says what was done to a line.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from translator.config import DecodingSettings
from translator.decoding.engine import Engine
from translator.decoding.hypothesis import Hypothesis, LengthPenalty, Request
from translator.decoding.mbr import choose_by_mbr
from translator.runtime.console import warn
from translator.text import TokenizerPair, describe_lines, with_tag
from translator.translation.aligned_text import LinkedText, Linker, join_links
from translator.translation.long_lines import split_line
from translator.translation.result import TranslatedLine, Translation

_UNSPACED = {"ja", "zh", "yue", "th", "lo", "km", "my", "bo", "dz"}


@dataclass(frozen=True)
class LineTranslator:
    """Translates lines with any engine, under one set of settings."""

    engine: Engine
    tokenizers: TokenizerPair
    settings: DecodingSettings
    tag: int | None = None
    """A piece that every source begins with."""
    language: str | None = None
    """The code of the target language, which says whether parts of a line are joined with spaces."""
    longest_part: int | None = None
    """Most pieces of a part of a line that has to be split, such as the model met in training."""
    linker: Linker | None = None
    """Finds alignments, for `with_alignment` and for `settings.replace_unknown`."""
    with_scores: bool = False
    """Whether scores and pieces are wanted; otherwise they may be missing."""
    with_alignment: bool = False
    """Whether alignments are wanted."""

    def __call__(
        self, blocks: Iterable[Sequence[str]], on_progress: Callable[[int], None] | None = None
    ) -> Iterator[TranslatedLine]:
        """Translate the lines of each block together; yield them in order.

        A warning that concerns several lines is printed once, at the end, with the numbers of the lines. `on_progress`
        is called with how many lines were finished since the last call.
        """
        numbers: dict[str, list[int]] = {}
        first = 1
        for block in blocks:
            lines = self._translate(block, on_progress)
            for number, line in enumerate(lines, start=first):
                for warning in line.warnings:
                    numbers.setdefault(warning, []).append(number)
            yield from lines
            first += len(lines)
        for warning, own in numbers.items():
            warn(f"{describe_lines(own)} {warning}")

    def _translate(self, block: Sequence[str], on_progress: Callable[[int], None] | None) -> list[TranslatedLine]:
        """Translate the lines of a block, and note on each what was done to it."""
        began = time.perf_counter()
        contents = [content_of(line) for line in block]
        sources = with_tag(self.tokenizers.source.encode(contents), self.tag)
        lines = [_Line([text], [source] if source else []) for text, source in zip(contents, sources, strict=True)]
        if (longest := self.engine.longest_source) is not None:
            for line, source in zip(lines, sources, strict=True):
                if len(source) > longest:
                    self._shorten(line, longest)
        done = 0

        def on_batch(count: int) -> None:
            nonlocal done
            # There are more parts than lines, and blank lines are in no batch.
            count = min(count, len(block) - done)
            done += count
            if on_progress is not None and count:
                on_progress(count)

        hypotheses = iter(self._search(self._requests(lines), on_batch))
        answers = [[next(hypotheses) for _ in line.parts] for line in lines]
        translations = self._translations(lines, answers)
        on_batch(len(block))
        seconds, engine = time.perf_counter() - began, self.engine.name
        translated = []
        for text, line, own in zip(block, lines, translations, strict=True):
            text = text.removesuffix("\n")
            if not line.parts:
                # A blank line comes back as it is; one that was left out, or of which nothing remains, empty.
                own = (Translation("" if line.texts[0] else text.removesuffix("\r"), 0.0, 0.0),)
            elif not own:
                line.warnings += ("without a translation that the settings allow, or with wrong numbers; left blank",)
            translated.append(TranslatedLine(text, own, line.warnings, seconds, engine))
        return translated

    def _shorten(self, line: "_Line", longest: int) -> None:
        """Do with a line that is longer than `longest` pieces what the settings say."""
        what = f"longer than {longest} pieces, the model's limit"
        if self.settings.long_lines == "blank":
            line.parts = []
            line.warnings = (f"{what}; left blank",)
        elif self.settings.long_lines == "truncate":
            line.parts = [line.parts[0][:longest]]
            line.warnings = (f"{what}; the rest was left out",)
        else:
            room = longest if self.longest_part is None else min(longest, self.longest_part)
            encode = self.tokenizers.source.encode
            taken = 0 if self.tag is None else 1
            line.texts = split_line(
                line.texts[0], lambda texts: [len(ids) for ids in encode(texts)], max(1, room - taken)
            )
            # A character of many bytes may still be too long.
            line.parts = [part[:longest] for part in with_tag(encode(line.texts), self.tag)]
            line.warnings = (f"{what}; translated in parts",)

    def _requests(self, lines: Sequence["_Line"]) -> list[Request]:
        """Ask for the translation of every part; what a line must begin with or contain is asked of its first part."""
        target, settings = self.tokenizers.target, self.settings
        prefix, *phrases = [tuple(ids) for ids in target.encode([settings.prefix, *filter(None, settings.required)])]
        banned = tuple(settings.banned)
        first, further = (prefix, banned, tuple(phrases)), ((), banned, ())
        return [
            Request(tuple(part), *(further if index else first))
            for line in lines
            for index, part in enumerate(line.parts)
        ]

    def _search(self, requests: list[Request], on_batch: Callable[[int], None]) -> list[list[Hypothesis]]:
        # A translation depends on nothing but its request, so that equal requests are searched once.
        indices: dict[Request, int] = {}
        chosen = [indices.setdefault(request, len(indices)) for request in requests]
        if not indices:
            return []
        found = self.engine.search(list(indices), self.settings, with_scores=self.with_scores, on_batch=on_batch)
        if self.settings.search == "mbr":
            found = [self._choose_by_mbr(samples) for samples in found]
        return [found[index] for index in chosen]

    def _choose_by_mbr(self, samples: Sequence[Hypothesis]) -> list[Hypothesis]:
        """Choose those of the samples that are most like all of them, which becomes their score."""
        texts = [self.tokenizers.target.decode(sample.tokens) for sample in samples]
        chosen = choose_by_mbr(texts, self.settings.mbr_utility, self.settings.n_best)
        return [samples[place]._replace(score=likeness) for place, likeness in chosen]

    def _translations(
        self, lines: Sequence["_Line"], answers: Sequence[Sequence[Sequence[Hypothesis]]]
    ) -> list[tuple[Translation, ...]]:
        """Return the translations of every line, given the hypotheses of each of its parts."""
        texts = iter(self._texts(lines, answers))
        joined = []
        for by_part in answers:
            own = [[(hypothesis, next(texts)) for hypothesis in hypotheses] for hypotheses in by_part]
            # The second best translation of a line consists of the second best of its parts, and so on.
            ranks = range(max(map(len, own), default=0) if all(own) else 0)
            joined.append(tuple([self._joined([part[min(rank, len(part) - 1)] for part in own]) for rank in ranks]))
        return joined

    def _texts(
        self, lines: Sequence["_Line"], answers: Sequence[Sequence[Sequence[Hypothesis]]]
    ) -> Sequence[LinkedText]:
        """Return the text of every hypothesis of every part, with its word alignment if that is wanted."""
        target = self.tokenizers.target
        tokens = [hypothesis.tokens for by_part in answers for part in by_part for hypothesis in part]
        unknown = self.settings.replace_unknown and any(target.unk_id in own for own in tokens)
        if self.linker is None or not (self.with_alignment or unknown):
            return [LinkedText(text) for text in target.decode_all(tokens)]
        return self.linker(
            [
                (text, part, hypothesis.tokens)
                for line, by_part in zip(lines, answers, strict=True)
                for text, part, own in zip(line.texts, line.parts, by_part, strict=False)
                for hypothesis in own
            ]
        )

    def _joined(self, parts: Sequence[tuple[Hypothesis, LinkedText]]) -> Translation:
        """Join the translations of the parts of a line."""
        if len(parts) == 1:
            ((hypothesis, linked),) = parts
            text, log_probability, score = linked.text, hypothesis.log_probability, hypothesis.score
            links: Sequence[tuple[int, int]] = linked.links
        else:
            texts = [linked.text for _, linked in parts if linked.text]
            text = ("" if _is_unspaced(self.language) else " ").join(texts)
            log_probability = math.fsum(hypothesis.log_probability for hypothesis, _ in parts)
            score = self._joint_score([hypothesis for hypothesis, _ in parts])
            links = join_links([linked for _, linked in parts])
        pieces: Sequence[str] = ()
        if self.with_scores:
            pieces = self.tokenizers.target.pieces([token for hypothesis, _ in parts for token in hypothesis.tokens])
        # The carriage return before a line feed belongs to the source; the model must not write one.
        return Translation(text.rstrip("\r"), log_probability, score, tuple(pieces), tuple(links))

    def _joint_score(self, hypotheses: Sequence[Hypothesis]) -> float:
        if self.settings.search == "mbr":
            return math.fsum(hypothesis.score for hypothesis in hypotheses) / len(hypotheses)
        penalty = LengthPenalty(self.settings.length_penalty, self.settings.length_alpha)
        lengths = [len(hypothesis.tokens) + 1.0 for hypothesis in hypotheses]
        totals = [hypothesis.score * penalty(length) for hypothesis, length in zip(hypotheses, lengths, strict=True)]
        return math.fsum(totals) / penalty(math.fsum(lengths))


@dataclass(slots=True)
class _Line:
    """What is translated of a line."""

    texts: list[str]
    """The text of each part."""
    parts: list[list[int]]
    """The pieces of each part; none for a blank line."""
    warnings: tuple[str, ...] = ()


def content_of(line: str) -> str:
    """Return what the model should see of a line; nothing of a blank one."""
    line = line.removesuffix("\n")
    if not line.strip():
        return ""
    line = line.removesuffix("\r")
    # A lone surrogate (half a character, from another program) has no UTF-8 form that a tokenizer could read.
    return line if line.isascii() else line.encode("utf-8", "replace").decode("utf-8")


def _is_unspaced(language: str | None) -> bool:
    """Tell whether a language, such as `ja` or `zh-CN`, is written without spaces between its words."""
    return language is not None and language.replace("_", "-").split("-")[0].lower() in _UNSPACED
