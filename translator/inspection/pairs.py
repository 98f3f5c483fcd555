"""The sentence pairs that heads are measured on, read from a source file and its reference."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from translator.checkpoints import Bundle
from translator.errors import DataError
from translator.evaluation import TestSet, open_test_set
from translator.runtime.console import warn
from translator.text import choose_tag, describe_lines, with_tag
from translator.translation.line_parts import content_of
from translator.translation.word_alignment import Pair


@dataclass(frozen=True)
class Pairs:
    """The pairs of a test set that a model can read: text on both sides, and no side longer than its limit."""

    test_set: TestSet
    """All lines, unchanged."""
    lines: list[int]
    """The line number of each pair, counted from 0."""
    ids: list[Pair]
    """Source and target ids of each pair, without special tokens; a source begins with its language tag, if any."""

    def texts(self) -> list[tuple[str, str]]:
        """Return the source and the reference of each pair."""
        return [(self.test_set.sources[line], self.test_set.references[0][line]) for line in self.lines]


def read_pairs(bundle: Bundle, source: Path, reference: Path, to: str | None = None) -> Pairs:
    """Read a test set for a run; a warning names the lines that are left out.

    `to` is the target language, for a run with language tags. Raises `DataError` if text is damaged or no pair is left,
    `EvaluationError` if the numbers of lines differ, and `ConfigError` if `to` is wrong.
    """
    test_set = open_test_set(source, [reference])
    pairs = encode_pairs(bundle, test_set.sources, test_set.references[0], to)
    longest = bundle.config.model.max_positions - 1
    lines = [line for line, pair in enumerate(pairs) if min(map(len, pair)) and max(map(len, pair)) <= longest]
    if left_out := sorted(set(range(len(pairs))) - set(lines)):
        warn(
            f"{describe_lines([line + 1 for line in left_out])} blank on one side, or longer than {longest} pieces, "
            "the model's limit; left out"
        )
    if not lines:
        raise DataError(f"{source} and {reference}: found no pair with text on both sides, expected at least one")
    return Pairs(test_set, lines, [pairs[line] for line in lines])


def encode_pairs(bundle: Bundle, sources: Sequence[str], targets: Sequence[str], to: str | None = None) -> list[Pair]:
    """Return the ids of the lines of both sides, without special tokens; a blank side has none."""
    tokenizers = bundle.tokenizers
    tag = choose_tag(tokenizers.source, bundle.config.data.language_tags, to, str(bundle.directory))
    encoded = with_tag(tokenizers.source.encode([content_of(line) for line in sources]), tag)
    return list(zip(encoded, tokenizers.target.encode([content_of(line) for line in targets]), strict=True))
