"""Lines in, translated lines out: as many and in the same order, whatever they hold.

Between the text of a line and an engine is everything that this project promises about lines: blank ones never reach
the model, lines of several sentences and long ones are translated in parts, and a warning says what else was done to a
line.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from translator.config import DecodingSettings
from translator.decoding.engine import Engine
from translator.decoding.hypothesis import Hypothesis, LengthPenalty, Request
from translator.decoding.mbr import choose_by_mbr
from translator.runtime.console import warn
from translator.text import TokenizerPair, describe_lines
from translator.translation.aligned_text import LinkedText, join_characters, join_links, join_texts
from translator.translation.constrained_line import ConstrainedLine
from translator.translation.distinct import search_distinct
from translator.translation.line_parts import LineParts, LineSplitter, content_of
from translator.translation.line_requests import LineRequests, Target, target_of_line, without_term
from translator.translation.result import TranslatedLine, Translation


@dataclass(frozen=True)
class LineTranslator:
    """Translates lines with any engine, under one set of settings."""

    engine: Engine
    tokenizers: TokenizerPair
    settings: DecodingSettings
    target_of: Callable[[str | None], Target] = lambda to: Target()
    """Returns what a line is translated into that names the language `to`, or no language (None)."""
    source_language: str | None = None
    """The code of the source language, which says where sentences end."""
    usual_source: int | None = None
    """Most pieces of a line, tag included, that is not split into its sentences, such as the length of nearly all
    sources that the model was trained on; without it, no line is split into sentences."""
    longest_part: int | None = None
    """Most pieces of a part of a line that has to be split, such as the model met in training."""
    ask: LineRequests | None = None
    """Makes the requests for a line, by default without a glossary and all for `engine`."""
    with_scores: bool = False
    """Whether scores and pieces are wanted; otherwise they may be missing."""
    with_alignment: bool = False
    """Whether alignments are wanted."""

    def __call__(
        self,
        blocks: Iterable[Sequence[str | ConstrainedLine]],
        on_progress: Callable[[int], None] | None = None,
        first: int = 1,
    ) -> Iterator[TranslatedLine]:
        """Translate the lines of each block together; yield them in order.

        A warning that concerns several lines is printed once, at the end, with the numbers of the lines, of which the
        `first` is given. `on_progress` is called with how many lines were finished since the last call.
        """
        return with_warnings((self.translate_block(block, on_progress) for block in blocks), first)

    def translate_block(
        self, block: Sequence[str | ConstrainedLine], on_progress: Callable[[int], None] | None = None
    ) -> list[TranslatedLine]:
        """Translate the lines of a block, and note on each what was done to it."""
        began = time.perf_counter()
        lines = self._read(block)
        done = 0

        def on_batch(count: int) -> None:
            nonlocal done
            # There are more parts than lines, and blank lines are in no batch.
            count = min(count, len(block) - done)
            done += count
            if on_progress is not None and count:
                on_progress(count)

        answers = self._answers(lines, on_batch)
        translations = self._translations(lines, answers)
        on_batch(len(block))
        seconds = time.perf_counter() - began
        translated = []
        for line, own in zip(lines, translations, strict=True):
            text = line.wanted.text.removesuffix("\n")
            if not line.parts:
                # A blank line comes back as it is; one that was left out, or of which nothing remains, empty.
                own = (Translation("" if line.texts[0] else text.removesuffix("\r"), 0.0, 0.0),)
            elif not own:
                line.warnings += ("without a translation that the settings allow, or with wrong numbers; left blank",)
            engine = (line.asked[0].engine if line.asked else self.engine).name
            translated.append(TranslatedLine(text, own, line.warnings, seconds, engine))
        return translated

    def _read(self, block: Sequence[str | ConstrainedLine]) -> list[LineParts]:
        """Return what is asked for each line of a block, in parts that the model can take."""
        wanted = [line if isinstance(line, ConstrainedLine) else ConstrainedLine(line) for line in block]
        lines = self._split(wanted, [target_of_line(line, self.target_of) for line in wanted])
        for line in lines:
            line.asked = self._ask(line.wanted, line.target, line.texts, line.parts)
        return lines

    @cached_property
    def _split(self) -> LineSplitter:
        return LineSplitter(
            self.tokenizers.source, self.settings.long_lines, self.engine.longest_source, self.usual_source,
            self.longest_part, self.source_language,
        )  # fmt: skip

    @cached_property
    def _ask(self) -> LineRequests:
        return self.ask or LineRequests(self.tokenizers.target, self.settings, self.engine)

    def _answers(self, lines: Sequence[LineParts], on_batch: Callable[[int], None]) -> list[list[list[Hypothesis]]]:
        """Return the hypotheses for every part of every line."""
        asked = [(line, part) for line in lines for part in line.asked]
        found = self._search([(part.engine, part.request) for _, part in asked], on_batch)
        # Without its terms of the glossary a translation is better than none, but its reader must know.
        again = [index for index, (_, part) in enumerate(asked) if part.terms and not found[index]]
        plain = self._search([(asked[index][1].engine, asked[index][1].without_terms) for index in again], on_batch)
        for index, own in zip(again, plain, strict=True):
            line, part = asked[index]
            if own:
                line.warnings = tuple(dict.fromkeys([*line.warnings, *map(without_term, part.terms)]))
            found[index] = own
        answers = iter(found)
        return [[next(answers) for _ in line.asked] for line in lines]

    def _search(
        self, asked: Sequence[tuple[Engine, Request]], on_batch: Callable[[int], None]
    ) -> list[list[Hypothesis]]:
        """Return the hypotheses for every request, each from its engine."""
        # A translation depends on nothing but its request, so that equal requests are searched once.
        by_engine: dict[int, tuple[Engine, dict[Request, list[Hypothesis]]]] = {}
        for engine, request in asked:
            by_engine.setdefault(id(engine), (engine, {}))[1][request] = []
        for engine, answers in by_engine.values():
            found = search_distinct(
                engine, list(answers), self.settings, self.tokenizers.target.decode_all,
                with_scores=self.with_scores, on_batch=on_batch,
            )  # fmt: skip
            if self.settings.search == "mbr":
                found = [self._choose_by_mbr(samples) for samples in found]
            answers.update(zip(answers, found, strict=True))
        return [by_engine[id(engine)][1][request] for engine, request in asked]

    def _choose_by_mbr(self, samples: Sequence[Hypothesis]) -> list[Hypothesis]:
        """Choose those of the samples that are most like all of them, which becomes their score."""
        texts = [self.tokenizers.target.decode(sample.tokens) for sample in samples]
        chosen = choose_by_mbr(texts, self.settings.mbr_utility, self.settings.n_best)
        return [samples[place]._replace(score=likeness) for place, likeness in chosen]

    def _translations(
        self, lines: Sequence[LineParts], answers: Sequence[Sequence[Sequence[Hypothesis]]]
    ) -> list[tuple[Translation, ...]]:
        """Return the translations of every line, given the hypotheses of each of its parts."""
        texts = iter(self._texts(lines, answers))
        joined = []
        for line, by_part in zip(lines, answers, strict=True):
            own = [[(hypothesis, next(texts)) for hypothesis in hypotheses] for hypotheses in by_part]
            # The second best translation of a line consists of the second best of its parts, and so on.
            ranks = range(max(map(len, own), default=0) if all(own) else 0)
            by_rank = [[part[min(rank, len(part) - 1)] for part in own] for rank in ranks]
            joined.append(tuple([self._joined(parts, line) for parts in by_rank]))
        return joined

    def _texts(
        self, lines: Sequence[LineParts], answers: Sequence[Sequence[Sequence[Hypothesis]]]
    ) -> Sequence[LinkedText]:
        """Return the text of every hypothesis of every part, with its word alignment if that is wanted."""
        target = self.tokenizers.target
        found = [
            (line.target.linker, (text, part, hypothesis.tokens))
            for line, by_part in zip(lines, answers, strict=True)
            for text, part, own in zip(line.texts, line.parts, by_part, strict=False)
            for hypothesis in own
        ]
        unknown = self.settings.replace_unknown and any(target.unk_id in own[2] for _, own in found)
        # All lines have a linker or none has one.
        if not (self.with_alignment or unknown) or any(linker is None for linker, _ in found):
            return [LinkedText(text) for text in target.decode_all([own[2] for _, own in found])]
        texts = [LinkedText("")] * len(found)
        for linker in {id(linker): linker for linker, _ in found if linker is not None}.values():
            indices = [index for index, (own, _) in enumerate(found) if own is linker]
            for index, text in zip(indices, linker([found[index][1] for index in indices]), strict=True):
                texts[index] = text
        return texts

    def _joined(self, parts: Sequence[tuple[Hypothesis, LinkedText]], line: LineParts) -> Translation:
        """Join the translations of the parts of a line."""
        if len(parts) == 1:
            ((hypothesis, linked),) = parts
            text, log_probability, score = linked.text, hypothesis.log_probability, hypothesis.score
            links: Sequence[tuple[int, int]] = linked.links
            characters: Sequence[tuple[int, int, int, int]] = linked.characters
        else:
            target_gaps = _target_gaps(line.gaps, line.target.is_unspaced)
            text = join_texts([linked.text for _, linked in parts], target_gaps)
            log_probability = math.fsum(hypothesis.log_probability for hypothesis, _ in parts)
            score = self._joint_score([hypothesis for hypothesis, _ in parts])
            found = [linked for _, linked in parts]
            links = join_links(found, line.gaps, target_gaps)
            # The parts lack the white space before the first.
            start = max(0, content_of(line.wanted.text).find(line.texts[0]))
            characters = join_characters(found, line.texts, line.gaps, target_gaps, start)
        pieces: Sequence[str] = ()
        if self.with_scores:
            pieces = self.tokenizers.target.pieces([token for hypothesis, _ in parts for token in hypothesis.tokens])
        # The carriage return before a line feed belongs to the source; the model must not write one.
        return Translation(text.rstrip("\r"), log_probability, score, tuple(pieces), tuple(links), tuple(characters))

    def _joint_score(self, hypotheses: Sequence[Hypothesis]) -> float:
        if self.settings.search == "mbr":
            return math.fsum(hypothesis.score for hypothesis in hypotheses) / len(hypotheses)
        penalty = LengthPenalty(self.settings.length_penalty, self.settings.length_alpha)
        lengths = [len(hypothesis.tokens) + 1.0 for hypothesis in hypotheses]
        totals = [hypothesis.score * penalty(length) for hypothesis, length in zip(hypotheses, lengths, strict=True)]
        return math.fsum(totals) / penalty(math.fsum(lengths))


def with_warnings(blocks: Iterable[Sequence[TranslatedLine]], first: int = 1) -> Iterator[TranslatedLine]:
    """Yield the lines of blocks, and print at the end what was done to them, with their numbers from `first`."""
    numbers: dict[str, list[int]] = {}
    for lines in blocks:
        for number, line in enumerate(lines, start=first):
            for warning in line.warnings:
                numbers.setdefault(warning, []).append(number)
        yield from lines
        first += len(lines)
    for warning, own in numbers.items():
        warn(f"{describe_lines(own)} {warning}")


def _target_gaps(gaps: Sequence[str], is_unspaced: bool) -> list[str]:
    """Return what is written between translations: the white space of the source, as the target language has it."""
    if is_unspaced:
        return ["" if gap == " " else gap for gap in gaps]
    return [gap or " " for gap in gaps]
