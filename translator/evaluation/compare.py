"""Compares translations of one test set with each other: scores, and whether their differences are due to chance.

The tests are sacreBLEU's (`sacrebleu.significance`), so that the figures are those of `sacrebleu --paired-bs` and
`--paired-ar`: paired bootstrap resampling (Koehn 2004) and paired approximate randomisation (Riezler and Maxwell 2005).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from translator.errors import EvaluationError
from translator.evaluation.appearance import blank_references, mismatches
from translator.evaluation.bleu_tokenizer import AUTO, choose_tokenizer
from translator.evaluation.metrics import check_counts, make_metrics, without_missing

COMPARED = ("bleu", "chrf", "ter")
RESAMPLES, TRIALS = 1000, 10_000
"""What the `sacrebleu` command does by default."""


@dataclass(frozen=True)
class System:
    """The translations of a test set by one model, person or program."""

    name: str
    hypotheses: list[str]


@dataclass(frozen=True)
class Figure:
    """A score of one system, with the tests against the first system (None for the first)."""

    metric: str
    """BLEU, chrF2 or TER."""
    value: float
    mean: float
    """Over the resamples."""
    interval: float
    """Half the width of the 95 % confidence interval around the mean."""
    bootstrap: float | None
    """The p-value of paired bootstrap resampling."""
    randomisation: float | None
    """The p-value of paired approximate randomisation."""


@dataclass(frozen=True)
class Comparison:
    """Several systems on one test set."""

    systems: list[System]
    references: list[list[str]]
    sources: list[str] | None
    figures: list[list[Figure]]
    """For each system, its figures."""
    signatures: dict[str, str]
    """sacreBLEU's, of scores, intervals and paired bootstrap resampling, by metric."""
    randomisation_signatures: dict[str, str]
    """sacreBLEU's, of paired approximate randomisation."""
    tokenizer: str
    """BLEU's."""
    lowercase: bool
    warnings: list[str]
    notes: list[str]


def compare(
    systems: Sequence[System],
    references: Sequence[str] | Sequence[Sequence[str]],
    sources: Sequence[str] | None = None,
    *,
    tokenize: str = AUTO,
    language: str | None = None,
    lowercase: bool = False,
    resamples: int = RESAMPLES,
    trials: int = TRIALS,
) -> Comparison:
    """Score systems with BLEU, chrF2 and TER, and test each against the first.

    `tokenize` and `language` are those of `evaluate_hypotheses`. Raises `EvaluationError` if there are fewer than two
    systems, if two have the same name, if the counts of lines differ, or if a tokenizer is not available.
    """
    if len(systems) < 2:
        raise EvaluationError(f"found {len(systems)} system to compare; expected at least two")
    names = [system.name for system in systems]
    if len(set(names)) < len(names):
        raise EvaluationError(f"two systems have the same name: {', '.join(names)}; expected different names")
    streams = [check_counts(len(system.hypotheses), references) for system in systems][0]
    chosen, note = choose_tokenizer(tokenize, language, streams[0])
    named = [(system.name, system.hypotheses) for system in systems]
    bootstrap = _run_test("bs", resamples, named, without_missing(streams), chosen, lowercase)
    randomisation = _run_test("ar", trials, named, without_missing(streams), chosen, lowercase)
    figures = [
        [
            _figure(metric, bootstrap.results[metric][index], randomisation.results[metric][index])
            for metric in bootstrap.signatures
        ]
        for index in range(len(systems))
    ]
    warnings = blank_references(streams, sources)
    for system in systems:
        warnings += [f"{system.name}: {message}" for message in mismatches(system.hypotheses, streams[0])]
    if lowercase:
        warnings = [warning for warning in warnings if "lower-cased" not in warning]
    return Comparison(
        list(systems), streams, list(sources) if sources is not None else None, figures, bootstrap.signatures,
        randomisation.signatures, chosen, lowercase, warnings, [note] if note else [],
    )  # fmt: skip


def _figure(metric: str, resampled: Any, shuffled: Any) -> Figure:
    # sacreBLEU's are numbers of numpy, which are none of JSON.
    values = float(resampled.score), float(resampled.mean), float(resampled.ci)
    return Figure(metric, *values, bootstrap=resampled.p_value, randomisation=shuffled.p_value)


@dataclass(frozen=True)
class _Test:
    results: dict[str, list[Any]]
    """sacreBLEU's results by metric, one for each system."""
    signatures: dict[str, str]


def _run_test(
    kind: str,
    samples: int,
    named: Sequence[tuple[str, Sequence[str]]],
    references: Any,
    tokenizer: str,
    lowercase: bool,
) -> _Test:
    """Run one of sacreBLEU's paired tests; `kind` is bs or ar."""
    from sacrebleu.significance import PairedTest

    metrics = dict(zip(COMPARED, make_metrics(COMPARED, tokenize=tokenizer, lowercase=lowercase), strict=True))
    test = PairedTest(list(named), metrics, references, test_type=kind, n_samples=samples, n_jobs=1)
    signatures, scores = test()
    results: dict[str, list[Any]] = {name: list(found) for name, found in scores.items() if name != "System"}
    return _Test(results, {name: signatures[name].format() for name in results})
