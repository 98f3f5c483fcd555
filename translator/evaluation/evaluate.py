"""Scores a run on a test set, and stores the scores with the run."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from translator import __version__
from translator.checkpoints import RunDirectory
from translator.config import DecodingSettings
from translator.decoding.engine import Engine
from translator.errors import EvaluationError
from translator.evaluation.appearance import blank_references, faults, mismatches
from translator.evaluation.bleu_tokenizer import AUTO, choose_tokenizer
from translator.evaluation.metrics import METRICS, Score, check_counts, make_metrics, score
from translator.evaluation.sets import TestSet
from translator.runtime.console import warn
from translator.runtime.files import locked, write_text
from translator.runtime.json_files import read_json
from translator.text.input_lines import blocks_of
from translator.translation import Translator

SCORES = "scores.json"


class NotKeptError(EvaluationError):
    """Scores that could be computed, but not be written into the run."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of translations of a test set, with the translations."""

    scores: list[Score]
    hypotheses: list[str]
    settings: DecodingSettings | None
    """How they were translated; None if they were given."""
    warnings: list[str]
    """Sentences that say why the scores are doubtful."""
    to: str | None = None
    """The target language, if the model has several."""
    notes: tuple[str, ...] = ()
    """Sentences about choices that were made, such as BLEU's tokenizer."""


def evaluate(
    translator: Translator,
    sources: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    settings: DecodingSettings,
    *,
    metrics: Sequence[str] = METRICS,
    tokenize: str = AUTO,
    language: str | None = None,
    lowercase: bool = False,
    to: str | None = None,
    engine: Engine | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Translate `sources` and score the result against one or several references for each.

    `metrics`, `tokenize`, `language` and `lowercase` are those of `evaluate_hypotheses`, but `language` is by default
    the target language of the run; `to` and `on_progress` are those of `Translator.translate`. `engine` stands in for
    that of the run, such as one that several processes share. Raises `EvaluationError`, before any work, if the counts
    differ or a metric is not available.
    """
    language = language or to or translator.bundle.config.data.target_language
    streams = check_counts(len(sources), references)
    make_metrics(metrics, tokenize=choose_tokenizer(tokenize, language, streams[0])[0], lowercase=lowercase)
    lines = translator.translate_blocks(blocks_of(sources), settings, to=to, engine=engine, on_progress=on_progress)
    evaluation = evaluate_hypotheses(
        [line.text for line in lines],
        streams,
        sources,
        metrics=metrics,
        tokenize=tokenize,
        language=language,
        lowercase=lowercase,
    )
    return replace(evaluation, settings=settings, to=to)


def evaluate_hypotheses(
    hypotheses: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    sources: Sequence[str] | None = None,
    *,
    metrics: Sequence[str] = METRICS,
    tokenize: str = AUTO,
    language: str | None = None,
    lowercase: bool = False,
) -> Evaluation:
    """Score given translations against one or several references for each.

    `tokenize` and `lowercase` are those of `score`, or `auto` for the tokenizer that suits the target `language` and
    the references. With `sources`, translations that are copies of their source are noticed. Raises `EvaluationError`
    if the counts differ or a metric is not available.
    """
    streams = check_counts(len(hypotheses), references)
    chosen, note = choose_tokenizer(tokenize, language, streams[0])
    scores = score(hypotheses, streams, metrics, tokenize=chosen, lowercase=lowercase)
    warnings = [*blank_references(streams, sources), *mismatches(hypotheses, streams[0])]
    warnings += faults(sources, streams[0], hypotheses).values()
    if lowercase:
        warnings = [warning for warning in warnings if "lower-cased" not in warning]
    is_bleu = any(item.name == "BLEU" for item in scores)
    return Evaluation(scores, list(hypotheses), None, warnings, notes=(note,) if note and is_bleu else ())


def record_evaluation(translator: Translator, test_set: TestSet, evaluation: Evaluation) -> Path:
    """Append the scores to `scores.json` of the run and write the translations next to it; return their file.

    Raises `EvaluationError` if `scores.json` is damaged; the file is left as it is. Raises `NotKeptError` if the run
    cannot be written.
    """
    try:
        return _record(Path(translator.bundle.directory), translator, test_set, evaluation)
    except OSError as error:
        raise NotKeptError(
            f"the scores are not kept: {error.filename or translator.bundle.directory} cannot be written "
            f"({error.strerror or error})"
        ) from None


def _record(run: Path, translator: Translator, test_set: TestSet, evaluation: Evaluation) -> Path:
    directory = RunDirectory(run)
    directory.refuse_links()
    directory.hypotheses.mkdir(exist_ok=True)
    # Several evaluations of one run may end at the same time.
    with locked(directory.hypotheses):
        return _append(directory, translator, test_set, evaluation)


def _append(directory: RunDirectory, translator: Translator, test_set: TestSet, evaluation: Evaluation) -> Path:
    run, folder, bundle = directory.root, directory.hypotheses, translator.bundle
    now, entries = datetime.now(UTC), read_scores(run)
    label = "".join(letter if letter.isalnum() or letter in "-._" else "-" for letter in test_set.name)
    number = _next_number(entries, folder)
    if not entries and number > 1:
        warn(f"{run / SCORES} is missing; only the translations of earlier evaluations are left, in {folder}")
    hypotheses = folder / f"{number:04d}-{bundle.weights}-{label}.txt"
    write_text(hypotheses, "".join(f"{line}\n" for line in evaluation.hypotheses))
    assert evaluation.settings is not None, "scores of given translations belong to no run"
    entry = {
        "date": now.isoformat(timespec="seconds"),
        "test_set": test_set.name,
        "sentences": len(evaluation.hypotheses),
        "files": test_set.files,
        "weights": bundle.weights,
        "step": bundle.step,
        "together_with": [str(other.directory) for other in translator.bundles[1:]],
        "engine": translator.engine_for(evaluation.settings).name,
        "to": evaluation.to,
        "decoding": evaluation.settings.model_dump(mode="json"),
        "scores": [asdict(item) for item in evaluation.scores],
        "warnings": evaluation.warnings,
        "hypotheses": str(hypotheses.relative_to(run)),
        "translator_version": __version__,
    }
    write_text(run / SCORES, json.dumps([*entries, entry], indent=2, ensure_ascii=False) + "\n")
    return hypotheses


def _next_number(entries: Sequence[object], folder: Path) -> int:
    """Return a number that no file of translations has yet, even if scores were deleted."""
    numbers = (file.name.partition("-")[0] for file in folder.iterdir())
    return max(len(entries), *(int(number) for number in numbers if re.fullmatch("[0-9]{1,9}", number)), 0) + 1


def read_scores(run: Path) -> list[dict[str, Any]]:
    """Read the evaluations of a run, oldest first; raises `EvaluationError` if the file is damaged."""
    try:
        entries: list[dict[str, Any]] = read_json(
            run / SCORES, [{str: object}], EvaluationError, "it was left as it is; move it away"
        )
    except FileNotFoundError:
        return []
    return entries
