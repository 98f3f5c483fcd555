"""Where the systems of a comparison differ: by sentence, by the length of sentences, and by how rare words are."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from translator.evaluation.compare import Comparison
from translator.evaluation.metrics import make_metrics, without_missing

_LENGTHS = (0, 5, 10, 15, 20, 30, 40, 60, 100, inf)
_COUNTS = (0, 1, 2, 5, 10, 100, 1000, inf)


@dataclass(frozen=True)
class LengthGroup:
    """The sentences whose reference has a number of words in a range."""

    label: str
    sentences: int
    scores: list[dict[str, float]]
    """For each system, BLEU and chrF2 of these sentences."""


@dataclass(frozen=True)
class WordGroup:
    """The words that occur in a text with a frequency in a range."""

    label: str
    words: int
    """Words of the references that are in the group, with repetitions."""
    f1: list[float]
    """For each system, 0 to 100: the harmonic mean of recall (of the words of the reference, those that the translation
    has, too) and precision (the other way round)."""


def sentence_chrf(comparison: Comparison) -> list[list[float]]:
    """Return the chrF2 of every sentence, 0 to 100, for each system."""
    (metric,) = make_metrics(["chrf"], lowercase=comparison.lowercase)
    references = list(zip(*without_missing(comparison.references), strict=True))
    return [
        [
            metric.sentence_score(hypothesis, [line for line in lines if line is not None]).score
            for hypothesis, lines in zip(system.hypotheses, references, strict=True)
        ]
        for system in comparison.systems
    ]


def by_length(comparison: Comparison) -> list[LengthGroup]:
    """Score groups of sentences of similar length; words are those of BLEU's tokenizer, in the first reference."""
    lengths = [len(words) for words in map(_splitter(comparison), first_references(comparison))]
    streams = without_missing(comparison.references)
    metrics = make_metrics(["bleu", "chrf"], tokenize=comparison.tokenizer, lowercase=comparison.lowercase)
    groups = []
    for low, high in pairwise(_LENGTHS):
        chosen = [index for index, length in enumerate(lengths) if low <= length < high]
        if not chosen:
            continue
        references = [[stream[index] for index in chosen] for stream in streams]
        scores = []
        for system in comparison.systems:
            hypotheses = [system.hypotheses[index] for index in chosen]
            found = [metric.corpus_score(hypotheses, references) for metric in metrics]
            scores.append({result.name: result.score for result in found})
        groups.append(LengthGroup(_label(low, high), len(chosen), scores))
    return groups


def by_frequency(comparison: Comparison, text: Iterable[str] | None = None) -> list[WordGroup]:
    """Measure how many words of each frequency are right; see `WordGroup`.

    Words are those of BLEU's tokenizer; they are counted in `text`, such as the target side of the training corpus, or
    by default in the references. Of several references, the first counts.
    """
    split = _splitter(comparison)
    references = [Counter(split(line)) for line in first_references(comparison)]
    counts: Counter[str] = Counter()
    if text is None:
        for words in references:
            counts.update(words)
    else:
        for line in text:
            counts.update(split(line))
    ranges = list(pairwise(_COUNTS))
    range_of = {word: _range_of(counts[word], ranges) for words in references for word in words}
    expected = [0] * len(ranges)
    for words in references:
        for word, times in words.items():
            expected[range_of[word]] += times
    f1: list[list[float]] = [[] for _ in ranges]
    for system in comparison.systems:
        given, right = [0] * len(ranges), [0] * len(ranges)
        for line, reference in zip(system.hypotheses, references, strict=True):
            for word, times in Counter(split(line)).items():
                index = range_of[word] if word in range_of else _range_of(counts[word], ranges)
                given[index] += times
                right[index] += min(times, reference[word])
        for index in range(len(ranges)):
            f1[index].append(200.0 * right[index] / max(1, given[index] + expected[index]))
    return [
        WordGroup(_label(low, high), expected[index], f1[index])
        for index, (low, high) in enumerate(ranges)
        if expected[index]
    ]


def first_references(comparison: Comparison) -> list[str]:
    """Return for every sentence the first reference that is not missing."""
    lines = zip(*without_missing(comparison.references), strict=True)
    return [next(line for line in references if line is not None) for references in lines]


def _splitter(comparison: Comparison) -> Callable[[str], list[str]]:
    (metric,) = make_metrics(["bleu"], tokenize=comparison.tokenizer)

    def split(line: str) -> list[str]:
        words: list[str] = metric.tokenizer(line.lower() if comparison.lowercase else line).split()
        return words

    return split


def _range_of(count: int, ranges: Sequence[tuple[float, float]]) -> int:
    return next(index for index, (low, high) in enumerate(ranges) if low <= count < high)


def _label(low: float, high: float) -> str:
    if high == inf:
        return f"{low:,.0f} or more"
    return f"{low:,.0f}" if high == low + 1 else f"{low:,.0f} to {high - 1:,.0f}"
