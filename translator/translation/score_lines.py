"""Pairs of lines in, their log-probabilities out: the same number, in the same order."""

import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from translator.checkpoints import Bundle
from translator.config import DecodingSettings
from translator.decoding.batch_tokens import batch_tokens_of
from translator.decoding.distributed import SharedScorer
from translator.decoding.ensemble import check_ensemble
from translator.decoding.hypothesis import LengthPenalty
from translator.decoding.scoring import ScoredTarget, longest_side, perplexity
from translator.distributed.world import World
from translator.errors import DataError
from translator.inference.steps import TransformerStepModel
from translator.runtime.console import warn
from translator.runtime.counted import counted
from translator.text import choose_tag, describe_lines, with_tag
from translator.translation.line_parts import content_of
from translator.translation.result import rounded

WINDOW = 1024
"""Lines that are sorted by length together; this bounds the host memory."""


@dataclass(frozen=True)
class ScoredLine:
    """What is known about one pair of lines; no target and no score if it could not be scored."""

    pieces: tuple[str, ...]
    """Pieces of the target as written in the vocabulary; the last is the end-of-sentence token."""
    target: ScoredTarget | None
    score: float | None
    """The log-probability divided by the length penalty."""


def score_lines(
    bundles: Sequence[Bundle],
    pairs: Iterable[tuple[str, str]],
    settings: DecodingSettings,
    *,
    to: str | None = None,
    window: int = WINDOW,
    on_progress: Callable[[int], None] | None = None,
    world: World | None = None,
) -> Iterator[ScoredLine]:
    """Score lines (source, target), in order, under one run or an ensemble; `window` of them are read at a time.

    A blank target is the empty sentence, for which only the end-of-sentence token counts. What cannot be scored (a line
    that is too long, a target without a source) has no score; a warning at the end names the lines. `settings` gives
    the length penalty and the batch size. `to` is the target language, for runs with language tags. `on_progress` is
    called with the number of lines of each window after they were yielded. All processes of a `world` must iterate over
    what this returns: the main one reads `pairs` and gets the lines, a window for each process at a time; the others
    get none and share the work. The scores do not depend on how many they are. Raises `ConfigError` at once if the runs
    do not go together or `to` is wrong.
    """
    check_ensemble(bundles)
    first = bundles[0]
    tag = choose_tag(first.tokenizers.source, first.config.data.language_tags, to, str(first.directory))
    models = [TransformerStepModel.of(bundle) for bundle in bundles]
    scorer = SharedScorer(world or World(), models, batch_tokens_of(settings), window)
    return _score_windows(first, scorer, iter(pairs), settings, tag, on_progress)


def _score_windows(
    bundle: Bundle,
    scorer: SharedScorer,
    pairs: Iterator[tuple[str, str]],
    settings: DecodingSettings,
    tag: int | None,
    on_progress: Callable[[int], None] | None,
) -> Iterator[ScoredLine]:
    if not scorer.world.is_main:
        scorer.serve()
        return
    models = scorer.models
    tokenizers, penalty = bundle.tokenizers, LengthPenalty(settings.length_penalty, settings.length_alpha)
    unscored: dict[str, list[int]] = {}
    number = 0
    while block := list(itertools.islice(pairs, scorer.window * scorer.world.size)):
        sources = tokenizers.source.encode([content_of(source) for source, _ in block])
        targets = tokenizers.target.encode([content_of(target) for _, target in block])
        scored = scorer.score(with_tag(sources, tag), targets)
        for source, target, result in zip(sources, targets, scored, strict=True):
            number += 1
            if result is None or not math.isfinite(result.log_probability):
                reason = _reason(source, result, longest_side(models))
                unscored.setdefault(reason, []).append(number)
                result = None
            pieces = tokenizers.target.pieces([*target, models[0].eos_id] if source or target else [])
            score = result.log_probability / penalty(len(target) + 1.0) if result is not None else None
            yield ScoredLine(tuple(pieces), result, score)
        if on_progress is not None:
            on_progress(len(block))
    scorer.close()
    for reason, numbers in unscored.items():
        warn(f"{describe_lines(numbers)} {reason}; the score is null")


def _reason(source: Sequence[int], result: ScoredTarget | None, longest: float) -> str:
    if result is not None:
        return "without a finite log-probability: the weights are damaged, or precision=fp32 is needed"
    if not source:
        return "blank in the source but not in the target: there is nothing to translate"
    return f"longer than {longest} pieces on one side, the model's limit"


def pair_lines(sources: Iterable[str], targets: Iterable[str], names: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of lines of two files; raise `DataError` with both counts if one file has more lines."""
    left, right = iter(sources), iter(targets)
    for number, (source, target) in enumerate(itertools.zip_longest(left, right), start=1):
        if source is None or target is None:
            most = number + sum(1 for _ in (left if target is None else right))
            counts = (most, number - 1) if target is None else (number - 1, most)
            raise DataError(
                f"{names[0]} has {counted(counts[0], 'line')} but {names[1]} has {counts[1]:,}; expected the same "
                "number in both, line by line a text and its translation"
            )
        yield source, target


class Totals:
    """Sums over scored lines, and the sentence that reports them."""

    def __init__(self) -> None:
        self.lines = self.unscored = self.tokens = 0
        self.log_probability = 0.0

    def add(self, line: ScoredLine) -> None:
        """Count a line."""
        self.lines += 1
        if line.target is None:
            self.unscored += 1
        else:
            self.tokens += len(line.target.log_probabilities)
            self.log_probability += line.target.log_probability

    def __str__(self) -> str:
        unscored = f" ({self.unscored:,} without a score)" if self.unscored else ""
        figures = (
            f"log-probability {self.log_probability / self.tokens:.4f} a token, "
            f"perplexity {perplexity(self.log_probability, self.tokens):.3f}"
            if self.tokens
            else "nothing to score"
        )
        tokens = f"{counted(self.tokens, 'token')}, end of sentence included"
        return f"{counted(self.lines, 'pair')}{unscored}, {tokens}: {figures}"


def format_line(line: ScoredLine, form: str) -> str:
    """Write a scored line as `text` (its log-probability), as `tsv` or as `jsonl`; null if there is no score.

    The columns of `tsv` are log-probability, score, number of tokens and perplexity; `jsonl` adds the pieces and their
    log-probabilities.
    """
    target = line.target
    figures = {
        "log_probability": None if target is None else rounded(target.log_probability),
        "score": None if line.score is None else rounded(line.score),
        "tokens": len(line.pieces),
        "perplexity": None if target is None else rounded(target.perplexity),
    }
    if form == "jsonl":
        by_token = None if target is None else [rounded(value) for value in target.log_probabilities]
        return json.dumps({**figures, "pieces": line.pieces, "log_probabilities": by_token}, ensure_ascii=False)
    columns = list(figures.values()) if form == "tsv" else [figures["log_probability"]]
    return "\t".join(map(json.dumps, columns))
