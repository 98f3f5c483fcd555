"""`translator evaluate`: BLEU, chrF2, chrF2++ and TER with their signatures, of a run or of any file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from translator.cli.arguments import (
    CallSettings,
    EngineChoice,
    EngineName,
    TextOrJson,
    To,
    TogetherWith,
    Weights,
    load_translator,
    read_call,
)
from translator.cli.processes import shared_by_processes

if TYPE_CHECKING:
    from translator.config import Config
    from translator.distributed.world import World
    from translator.evaluation import Evaluation, TestSet


Tokenize = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="BLEU's tokenizer: 13a, none, zh, ja-mecab, ko-mecab, char, intl, flores200, flores101 or spm; "
        "auto suits the target language and its text.",
    ),
]
Lowercase = Annotated[bool, typer.Option("--lowercase", help="Ignore case in all scores.")]


def evaluate(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="Run directory; not with --hypothesis.", show_default=False)
    ] = None,
    source: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Text to translate; repeat it for several test sets.")
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Its translation; repeatable. Several sources share the references out in order, equally.",
        ),
    ] = None,
    hypothesis: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Translations to score as they are, without a run; repeatable like --source."
        ),
    ] = None,
    test_set: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="One of sacreBLEU's test sets instead, such as wmt14; repeatable."),
    ] = None,
    language_pair: Annotated[
        str | None,
        typer.Option(metavar="PAIR", help="Language pair of the test set, such as en-de; by default that of the run."),
    ] = None,
    tokenize: Tokenize = "auto",
    lowercase: Lowercase = False,
    output_format: Annotated[
        TextOrJson,
        typer.Option("--format", help="text: a line for each score, or a table of test sets; json: one object."),
    ] = TextOrJson.text,
    together_with: TogetherWith = None,
    engine: EngineName = EngineChoice.auto,
    to: To = None,
    settings: CallSettings = None,
    weights: Weights = None,
) -> None:
    """Translate test sets, or take given translations, and print BLEU, chrF2, chrF2++ and TER with their signatures."""
    from translator.config import read_run_config
    from translator.distributed.world import join_world

    options = {"tokenize": tokenize, "lowercase": lowercase}
    if hypothesis:
        of_run = run, test_set, language_pair, together_with, settings, weights, engine is not EngineChoice.auto
        if any(of_run):
            raise typer.BadParameter(
                "--hypothesis is scored without a run; expected --hypothesis FILE, --reference FILE and perhaps "
                "--source FILE, and no RUN, --test-set, --language-pair, --with, --engine, --set or --weights"
            )
        scored = _score_files(hypothesis, reference or [], source or [], to, options)
        with join_world() as world:
            if world.is_main:
                _print(scored, output_format, {})
        return
    if run is None:
        raise typer.BadParameter("expected RUN, or --hypothesis FILE and --reference FILE")
    if bool(source and reference) == bool(test_set) or bool(source) != bool(reference):
        raise typer.BadParameter("expected --source FILE and --reference FILE, or --test-set NAME")
    if language_pair is not None and not test_set:
        raise typer.BadParameter("--language-pair is that of a --test-set; --tokenize chooses BLEU's tokenizer")
    groups = _share_out(reference or [], len(source), "--source") if source else []
    data = read_run_config(run).data
    if test_set and language_pair is None and data.language_tags:
        raise typer.BadParameter(f"{run} has several language pairs; name one with --language-pair")
    pair = language_pair or f"{data.source_language}-{data.target_language}"
    with shared_by_processes(lambda: read_call(run, settings)) as (call, world):
        tested = _open_test_sets(source or [], groups, test_set or [], pair) if world.is_main else []
        model = (together_with, engine, weights)
        entries = _translate_and_score(run, tested, call, model, {**options, "to": to}, world)
        if world.is_main:
            _print(entries, output_format, {"run": str(run), "weights": weights or "final"})
        else:
            # The others have no results: they help until the main process has all translations.
            list(entries)


def _share_out(references: Sequence[Path], count: int, option: str) -> list[Sequence[Path]]:
    """Divide the references among `count` texts, in order."""
    if not references or len(references) % count:
        raise typer.BadParameter(
            f"found {count} {option} and {len(references)} --reference; expected references, as many for each"
        )
    size = len(references) // count
    return [references[start : start + size] for start in range(0, len(references), size)]


def _open_test_sets(
    sources: Sequence[Path], groups: Sequence[Sequence[Path]], names: Sequence[str], pair: str
) -> "list[TestSet]":
    from translator.evaluation import named_test_set, open_test_set

    if names:
        return [named_test_set(name, pair) for name in names]
    return [open_test_set(source, group) for source, group in zip(sources, groups, strict=True)]


Entry = tuple[str, "Evaluation", dict[str, Any]]
"""Name of a text, its scores, and what else JSON has about it."""


def _score_files(
    hypotheses: Sequence[Path], references: Sequence[Path], sources: Sequence[Path], language: str | None,
    options: dict[str, Any],
) -> Iterator[Entry]:  # fmt: skip
    """Check how many files there are at once, and read and score them as they are asked for."""
    groups = _share_out(references, len(hypotheses), "--hypothesis")
    if sources and len(sources) != len(hypotheses):
        raise typer.BadParameter(
            f"found {len(hypotheses)} --hypothesis and {len(sources)} --source; expected one source for each, or none"
        )
    known: Sequence[Path | None] = sources or [None] * len(hypotheses)

    def entries() -> Iterator[Entry]:
        from translator.evaluation import evaluate_hypotheses, open_translations

        texts = [open_translations(*files) for files in zip(hypotheses, groups, known, strict=True)]
        for text in texts:
            scored = evaluate_hypotheses(text.hypotheses, text.references, text.sources, language=language, **options)
            yield text.name, scored, {}

    return entries()


def _translate_and_score(
    run: Path, tested: "Sequence[TestSet]", call: "Config",
    model: tuple[list[Path] | None, EngineChoice, str | None], options: dict[str, Any], world: "World",
) -> Iterator[Entry]:  # fmt: skip
    from translator.checkpoints import RunDirectory
    from translator.decoding.distributed import SharedEngine
    from translator.evaluation import NotKeptError, read_scores, record_evaluation
    from translator.evaluation import evaluate as evaluate_translator
    from translator.runtime.console import progress, say, warn

    # What could not be kept is said before the work.
    RunDirectory(run).refuse_links()
    read_scores(run)
    translator, settings = load_translator(run, call, *model)
    shared = SharedEngine(world, translator.engine_for(settings)) if world.size > 1 else None
    if shared is not None and not world.is_main:
        shared.serve()
        return
    for test_set in tested:
        with progress(description="translating", unit="lines", total=len(test_set.sources)) as bar:
            evaluation = evaluate_translator(
                translator, test_set.sources, test_set.references, settings, engine=shared, on_progress=bar.update,
                **options,
            )  # fmt: skip
        kept = {}
        try:
            hypotheses = record_evaluation(translator, test_set, evaluation)
        except NotKeptError as error:
            # What was asked for is printed; a run on a read-only disk is no mistake.
            warn(str(error))
        else:
            kept = {"hypotheses": str(hypotheses)}
            say(f"wrote the scores to {run / 'scores.json'} and the translations to {hypotheses}")
        yield test_set.name, evaluation, kept
    if shared is not None:
        shared.close()


def _print(entries: Iterator[Entry], form: TextOrJson, heading: dict[str, Any]) -> None:
    import json
    from dataclasses import asdict

    from translator.evaluation import score_table
    from translator.runtime.console import print_result, say, warn

    found = []
    for name, evaluation, more in entries:
        for note in evaluation.notes:
            say(note)
        for message in evaluation.warnings:
            warn(message)
        found.append((name, evaluation, more))
    if form is TextOrJson.json:
        sets = [
            {"test_set": name, "sentences": len(evaluation.hypotheses)}
            | {"scores": [asdict(score) for score in evaluation.scores]}
            | {"notes": evaluation.notes, "warnings": evaluation.warnings, **more}
            for name, evaluation, more in found
        ]
        print_result(json.dumps({**heading, "test_sets": sets}, indent=2, ensure_ascii=False))
    elif len(found) == 1:
        for score in found[0][1].scores:
            print_result(score)
    else:
        names, evaluations, _ = zip(*found, strict=True)
        sizes = [len(evaluation.hypotheses) for evaluation in evaluations]
        print_result(score_table("test set", names, sizes, [evaluation.scores for evaluation in evaluations]))
