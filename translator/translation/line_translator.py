"""Lines in, translated lines out: as many and in the same order, whatever they hold.

Between the text of a line and what an engine is asked stands all that this project promises about lines: blank ones
never reach the model, long ones are translated in parts, and what was done to a line is said.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

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
        """Translate the lines of every block together; yield them in order.

        Warnings that concern several lines are said once, at the end, with the numbers of the lines. `on_progress`
        hears how many lines were finished since the last call.
        """
        remarks: dict[str, list[int]] = {}
        number = 0
        for block in blocks:
            for line in self._translate(block, on_progress):
                number += 1
                for remark in line.warnings:
                    remarks.setdefault(remark, []).append(number)
                yield line
        for remark, numbers in remarks.items():
            warn(f"{describe_lines(numbers)} {remark}")

    def _translate(self, block: Sequence[str], on_progress: Callable[[int], None] | None) -> Iterator[TranslatedLine]:
        """Yield every line of a block, with what is to be said of it."""
        began = time.perf_counter()
        contents = [content_of(line) for line in block]
        sources = with_tag(self.tokenizers.source.encode(contents), self.tag)
        lines = [
            _Line([content], [source] if source else []) for content, source in zip(contents, sources, strict=True)
        ]
        for line in lines:
            if self._longest is not None and line.parts and len(line.parts[0]) > self._longest:
                self._shorten(line, self._longest)
        requests = [self._request(part, place == 0) for line in lines for place, part in enumerate(line.parts)]
        told = 0

        def on_batch(count: int) -> None:
            nonlocal told
            # Parts are more than lines, and blank lines are in no batch.
            count = min(count, len(block) - told)
            told += count
            if on_progress is not None and count:
                on_progress(count)

        found = iter(self._search(requests, on_batch))
        answers = [[next(found) for _ in line.parts] for line in lines]
        translations = self._translations(lines, answers)
        on_batch(len(block))
        seconds = time.perf_counter() - began
        for text, line, own in zip(block, lines, translations, strict=True):
            text = text.removesuffix("\n")
            if not line.parts:
                # A blank line comes back as it is; one of which nothing is left, or shall be, comes back empty.
                own = (Translation("" if line.texts[0] else text.removesuffix("\r"), 0.0, 0.0),)
            elif not own:
                line.remarks.append("without a translation that the settings allow, or with wrong numbers; left blank")
            yield TranslatedLine(text, own, tuple(line.remarks), seconds, self.engine.name)

    @property
    def _longest(self) -> int | None:
        return self.engine.longest_source

    def _shorten(self, line: "_Line", longest: int) -> None:
        """Do with a line that is longer than `longest` pieces what the settings say."""
        what = f"longer than {longest} pieces, the model's limit"
        if self.settings.long_lines == "blank":
            line.parts = []
            line.remarks.append(f"{what}; left blank")
        elif self.settings.long_lines == "truncate":
            line.parts[0] = line.parts[0][:longest]
            line.remarks.append(f"{what}; the rest was left out")
        else:
            room = longest if self.longest_part is None else min(longest, self.longest_part)
            encode = self.tokenizers.source.encode
            taken = 0 if self.tag is None else 1
            line.texts = split_line(
                line.texts[0], lambda texts: [len(ids) for ids in encode(texts)], max(1, room - taken)
            )
            # A character of many bytes may still be too long.
            line.parts = [part[:longest] for part in with_tag(encode(line.texts), self.tag)]
            line.remarks.append(f"{what}; translated in parts")

    def _request(self, source: Sequence[int], is_first: bool) -> Request:
        """Ask for the translation of a part; what the whole line shall begin with or hold is asked of its first."""
        asked = replace(self._asked, source=tuple(source))
        return asked if is_first else replace(asked, prefix=(), required=())

    @cached_property
    def _asked(self) -> Request:
        target, settings = self.tokenizers.target, self.settings
        texts = [text for text in (settings.prefix, *settings.required) if text]
        encoded = iter(target.encode(texts)) if texts else iter(())
        prefix = tuple(next(encoded)) if settings.prefix else ()
        required = tuple(tuple(next(encoded)) for text in settings.required if text)
        return Request((), prefix, tuple(settings.banned), required)

    def _search(self, requests: list[Request], on_batch: Callable[[int], None]) -> list[list[Hypothesis]]:
        if not requests:
            return []
        # A translation depends on nothing but its request, so that what comes twice is searched once.
        different = list(dict.fromkeys(requests))
        found = self.engine.search(different, self.settings, with_scores=self.with_scores, on_batch=on_batch)
        if self.settings.search == "mbr":
            found = [self._choose_by_mbr(samples) for samples in found]
        answers = dict(zip(different, found, strict=True))
        return [answers[request] for request in requests]

    def _choose_by_mbr(self, samples: Sequence[Hypothesis]) -> list[Hypothesis]:
        """Choose those of the samples that are most like all of them, which becomes their score."""
        texts = [self.tokenizers.target.decode(sample.tokens) for sample in samples]
        chosen = choose_by_mbr(texts, self.settings.mbr_utility, self.settings.n_best)
        return [replace(samples[place], score=likeness) for place, likeness in chosen]

    def _translations(
        self, lines: Sequence["_Line"], answers: Sequence[Sequence[Sequence[Hypothesis]]]
    ) -> list[tuple[Translation, ...]]:
        """Return the translations of every line, given the hypotheses of each of its parts."""
        found = [
            (text, part, hypothesis.tokens)
            for line, by_part in zip(lines, answers, strict=True)
            for text, part, own in zip(line.texts, line.parts, by_part, strict=False)
            for hypothesis in own
        ]
        texts = iter(self._texts(found))
        joined = []
        for by_part in answers:
            pairs = [[(hypothesis, next(texts)) for hypothesis in own] for own in by_part]
            # The second best of a line is made of the second best of its parts, and so on.
            count = max(map(len, pairs), default=0) if all(pairs) else 0
            joined.append(
                tuple(self._joined([own[min(place, len(own) - 1)] for own in pairs]) for place in range(count))
            )
        return joined

    def _texts(self, found: Sequence[tuple[str, Sequence[int], Sequence[int]]]) -> list[LinkedText]:
        """Turn hypotheses, each with the text and the pieces of its source before it, into text."""
        target = self.tokenizers.target
        unknown = self.settings.replace_unknown and any(target.unk_id in tokens for *_, tokens in found)
        if self.linker is not None and (self.with_alignment or unknown):
            return self.linker(found)
        return [LinkedText(target.decode(tokens)) for *_, tokens in found]

    def _joined(self, parts: Sequence[tuple[Hypothesis, LinkedText]]) -> Translation:
        """Join the translations of the parts of a line."""
        hypotheses = [hypothesis for hypothesis, _ in parts]
        texts = [text.text for _, text in parts if text.text]
        joint = "" if _is_unspaced(self.language) else " "
        tokens = [token for hypothesis in hypotheses for token in hypothesis.tokens] if self.with_scores else []
        pieces = self.tokenizers.target.pieces(tokens)
        return Translation(
            # The carriage return before a line feed is the source's to have, not the model's to write.
            joint.join(texts).rstrip("\r"),
            math.fsum(hypothesis.log_probability for hypothesis in hypotheses),
            self._joint_score(hypotheses),
            tuple(pieces),
            tuple(join_links([text for _, text in parts])),
        )

    def _joint_score(self, hypotheses: Sequence[Hypothesis]) -> float:
        if len(hypotheses) == 1:
            return hypotheses[0].score
        if self.settings.search == "mbr":
            return math.fsum(hypothesis.score for hypothesis in hypotheses) / len(hypotheses)
        penalty = LengthPenalty(self.settings.length_penalty, self.settings.length_alpha)
        lengths = [len(hypothesis.tokens) + 1.0 for hypothesis in hypotheses]
        totals = [hypothesis.score * penalty(length) for hypothesis, length in zip(hypotheses, lengths, strict=True)]
        return math.fsum(totals) / penalty(math.fsum(lengths))


@dataclass
class _Line:
    """What is translated of a line: the text and the pieces of each part, none of a blank line."""

    texts: list[str]
    parts: list[list[int]]
    remarks: list[str] = field(default_factory=list)


def content_of(line: str) -> str:
    """Return what of a line the model should see; nothing of a blank one."""
    line = line.removesuffix("\n")
    if not line.strip():
        return ""
    # A lone surrogate (a half character from another program) has no UTF-8 form that a tokenizer could read.
    return line.removesuffix("\r").encode("utf-8", "replace").decode("utf-8")


def _is_unspaced(language: str | None) -> bool:
    """Tell whether a language, such as `ja` or `zh-CN`, is written without spaces between its words."""
    return language is not None and language.replace("_", "-").split("-")[0].lower() in _UNSPACED
