"""`translator evaluate`: BLEU, chrF2 and TER with their signatures."""

from pathlib import Path
from typing import Annotated

import typer

from translator.cli.arguments import CallSettings, EngineChoice, EngineName, Run, To, TogetherWith, Weights, read_call


def evaluate(
    run: Run,
    source: Annotated[Path | None, typer.Option(metavar="FILE", help="Text to translate.")] = None,
    reference: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="Its translation; repeatable.")] = None,
    test_set: Annotated[
        str | None, typer.Option(metavar="NAME", help="One of sacreBLEU's test sets instead, such as wmt14.")
    ] = None,
    language_pair: Annotated[
        str | None,
        typer.Option(metavar="PAIR", help="Language pair of the test set, such as en-de; by default that of the run."),
    ] = None,
    tokenize: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="BLEU's tokenizer: 13a, none, zh, ja-mecab, ko-mecab, char, intl, flores200, flores101 or spm; "
            "auto suits the target language and its text.",
        ),
    ] = "auto",
    lowercase: Annotated[bool, typer.Option("--lowercase", help="Ignore case in all scores.")] = False,
    together_with: TogetherWith = None,
    engine: EngineName = EngineChoice.auto,
    to: To = None,
    settings: CallSettings = None,
    weights: Weights = None,
) -> None:
    """Translate a test set and print BLEU, chrF2 and TER with their signatures."""
    from translator.checkpoints import RunDirectory
    from translator.config import read_run_config, replace_stated, stated_machine
    from translator.evaluation import NotKeptError, named_test_set, open_test_set, read_scores, record_evaluation
    from translator.evaluation import evaluate as evaluate_translator
    from translator.runtime.console import print_result, progress, say, warn
    from translator.translation import Translator

    call = read_call(run, settings)
    data = read_run_config(run).data
    if source and reference and not test_set:
        tested = open_test_set(source, reference)
    elif test_set and not source and not reference:
        if language_pair is None and data.language_tags:
            raise typer.BadParameter(f"{run} has several language pairs; name one with --language-pair")
        tested = named_test_set(test_set, language_pair or f"{data.source_language}-{data.target_language}")
    else:
        raise typer.BadParameter("expected --source FILE and --reference FILE, or --test-set NAME")
    # What could not be kept is said before the work.
    RunDirectory(run).refuse_links()
    read_scores(run)
    translator = Translator.load(
        run, together_with=together_with or [], engine=engine.value, weights=weights, **stated_machine(call)
    )
    with progress(description="translating", unit="lines", total=len(tested.sources)) as bar:
        evaluation = evaluate_translator(
            translator,
            tested.sources,
            tested.references,
            replace_stated(translator.settings, call),
            tokenize=tokenize,
            lowercase=lowercase,
            to=to,
            on_progress=bar.update,
        )
    for note in evaluation.notes:
        say(note)
    for message in evaluation.warnings:
        warn(message)
    for score in evaluation.scores:
        print_result(score)
    try:
        hypotheses = record_evaluation(translator, tested, evaluation)
    except NotKeptError as error:
        # What was asked for is printed; a run on a read-only disk is no mistake.
        warn(str(error))
        return
    say(f"wrote the scores to {run / 'scores.json'} and the translations to {hypotheses}")
