"""Scores translations against references with sacreBLEU; every score has its signature."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from translator.errors import EvaluationError
from translator.evaluation.bleu_tokenizer import make_bleu
from translator.runtime.counted import counted

METRICS = ("bleu", "chrf", "chrf++", "ter")


@dataclass(frozen=True)
class Score:
    """One corpus-level score."""

    name: str
    """BLEU, chrF2, chrF2++ or TER."""
    value: float
    """0 to 100; for TER, which can exceed 100, lower is better."""
    signature: str
    """sacreBLEU's version and every choice that affects the score."""

    def __str__(self) -> str:
        return f"{self.name} = {self.value:.2f}  {self.signature}"


def score(
    hypotheses: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    metrics: Sequence[str] = METRICS,
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
) -> list[Score]:
    """Score a corpus with BLEU, chrF2, chrF2++ and TER.

    `references` is one reference for each hypothesis, or several such lists; a blank line among several references is
    a missing one. `tokenize` is sacreBLEU's name of the tokenizer for BLEU. Raises `EvaluationError` if the counts
    differ, if there is no text, or if the library of a tokenizer is missing.
    """
    streams = without_missing(check_counts(len(hypotheses), references))
    scores = []
    for metric in make_metrics(metrics, tokenize=tokenize, lowercase=lowercase):
        result = metric.corpus_score(list(hypotheses), streams)
        scores.append(Score(result.name, result.score, metric.get_signature().format()))
    return scores


def make_metrics(metrics: Sequence[str], *, tokenize: str = "13a", lowercase: bool = False) -> list[Any]:
    """Return sacreBLEU's metric objects; raises `EvaluationError` if one is unknown or not installed."""
    return [_metric(name, tokenize, lowercase) for name in metrics]


def without_missing(streams: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """Replace blank lines among several references by None, which sacreBLEU leaves out.

    As a reference, a blank line would be the closest in length to every short hypothesis, which then has no brevity
    penalty. A sentence that has only blank references keeps the first.
    """
    if len(streams) == 1:
        return [list(streams[0])]
    kept: list[list[str | None]] = [[line if line.strip() else None for line in stream] for stream in streams]
    for index, lines in enumerate(zip(*kept, strict=True)):
        if all(line is None for line in lines):
            kept[0][index] = streams[0][index]
    return kept


def check_counts(count: int, references: Sequence[str] | Sequence[Sequence[str]]) -> list[list[str]]:
    """Return `references` as a list of lists; raises `EvaluationError` if one does not have `count` lines."""
    streams = (
        [list(stream) for stream in references]
        if references and not isinstance(references[0], str)
        else [[str(line) for line in references]]
    )
    for number, stream in enumerate(streams, start=1):
        if len(stream) != count:
            which = "the reference" if len(streams) == 1 else f"reference {number}"
            raise EvaluationError(
                f"there {'is' if count == 1 else 'are'} {counted(count, 'sentence')} to score but {which} has "
                f"{counted(len(stream), 'line')}; expected one line for each"
            )
    if not count:
        raise EvaluationError("there is nothing to score: expected at least one sentence and its reference")
    return streams


def _metric(name: str, tokenize: str, lowercase: bool) -> Any:
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    if name in ("chrf", "chrf++"):
        return CHRF(word_order=2 if name == "chrf++" else 0, lowercase=lowercase)
    if name == "ter":
        return TER(case_sensitive=not lowercase)
    if name != "bleu":
        raise EvaluationError(f"there is no metric {name!r}; expected {', '.join(METRICS)}")
    return make_bleu(tokenize, lowercase)
