"""`translator compare`: which of several runs or files of translations is better, and whether that may be chance."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from translator.cli.arguments import CallSettings, TextOrJson, To, check_results, read_call
from translator.cli.evaluate import Lowercase, Tokenize
from translator.runtime.counted import counted

if TYPE_CHECKING:
    from translator.evaluation import System


def compare(
    systems: Annotated[
        list[Path],
        typer.Argument(metavar="A B [C ...]", help="Runs, which translate --source, or files of translations."),
    ],
    reference: Annotated[list[Path], typer.Option(metavar="FILE", help="Reference translations; repeatable.")],
    source: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The source; needed by runs, and shown on the page.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write a page (.html) with the sentences that differ."),
    ] = None,
    output_format: Annotated[TextOrJson, typer.Option("--format", help="What is printed.")] = TextOrJson.text,
    count_words_in: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Text that says which words are rare, such as the target side of the training corpus; by default the "
            "references.",
        ),
    ] = None,
    tokenize: Tokenize = "auto",
    lowercase: Lowercase = False,
    to: To = None,
    settings: CallSettings = None,
) -> None:
    """Compare translations of a test set: BLEU, chrF2 and TER, with significance tests against the first.

    The tests are those of `sacrebleu --paired-bs` and `--paired-ar`.
    """
    import json

    from translator.config import read_run_config
    from translator.evaluation import (
        by_frequency,
        by_length,
        choose_tokenizer,
        comparison_table,
        comparison_values,
        sentence_chrf,
    )
    from translator.evaluation import compare as compare_systems
    from translator.evaluation.page import comparison_page
    from translator.runtime.console import print_result, say, warn
    from translator.runtime.outputs import write_output
    from translator.text import read_lines

    if len(systems) < 2:
        raise typer.BadParameter("expected at least two runs or files to compare")
    runs = [system for system in systems if system.is_dir()]
    if source is None and runs:
        raise typer.BadParameter("runs translate; expected --source FILE")
    if output is not None:
        texts = [*reference, *([source] if source is not None else []), *(one for one in systems if not one.is_dir())]
        texts += [count_words_in] if count_words_in is not None else []
        check_results(output, [".html"], runs=runs, files=texts)
    references = [list(read_lines(file)) for file in reference]
    sources = list(read_lines(source)) if source is not None else None
    if count_words_in is not None:
        next(iter(read_lines(count_words_in)), None)  # What is wrong with it is found before the work.
    language = to or (read_run_config(runs[0]).data.target_language if runs else None)
    choose_tokenizer(tokenize, language, references[0])
    named = _translate_or_read(systems, len(references[0]), sources, settings or [], to)
    comparison = compare_systems(named, references, sources, tokenize=tokenize, language=language, lowercase=lowercase)
    lengths = by_length(comparison)
    words = by_frequency(comparison, read_lines(count_words_in) if count_words_in is not None else None)
    for note in comparison.notes:
        say(note)
    for message in comparison.warnings:
        warn(message)
    if output_format is TextOrJson.json:
        values = comparison_values(comparison, lengths, words)
        print_result(json.dumps(values, indent=2, ensure_ascii=False))
    else:
        print_result(comparison_table(comparison, lengths, words))
    if output is not None:
        counted_in = str(count_words_in) if count_words_in is not None else "the references"
        page = comparison_page(comparison, sentence_chrf(comparison), lengths, words, counted_in)
        say(f"wrote {write_output(output, page.encode())}")


def _translate_or_read(
    systems: Sequence[Path], lines: int, sources: Sequence[str] | None, settings: Sequence[str], to: str | None
) -> "list[System]":
    from translator.config import replace_stated, stated_machine
    from translator.errors import EvaluationError
    from translator.evaluation import System
    from translator.runtime.console import progress
    from translator.text import read_lines
    from translator.text.input_lines import blocks_of
    from translator.translation import Translator

    if len({system.resolve() for system in systems}) < len(systems):
        raise EvaluationError(f"{', '.join(map(str, systems))}: expected different runs or files")
    # Files first: whatever is wrong with them is found before anything is translated.
    texts = {system: list(read_lines(system)) for system in systems if not system.is_dir()}
    if sources is not None:
        texts = {Path("--source"): list(sources), **texts}
    for name, text in texts.items():
        if len(text) != lines:
            raise EvaluationError(
                f"{name} has {counted(len(text), 'line')} but the reference has {lines:,}; expected the same number"
            )
    calls = {system: read_call(system, settings) for system in systems if system.is_dir()}
    if settings and not calls:
        raise typer.BadParameter("--set is for what is translated here; expected a run among the systems")
    for system, call in calls.items():
        translator = Translator.load(system, **stated_machine(call))
        with progress(description=f"translating with {system.name}", unit="lines", total=lines) as bar:
            decoding = replace_stated(translator.settings, call)
            found = translator.translate_blocks(blocks_of(sources or []), decoding, to=to, on_progress=bar.update)
            texts[system] = [line.text for line in found]
    # The last part of a path is enough of a name, if no two are the same.
    names = [system.resolve().name for system in systems]
    if len(set(names)) < len(names):
        names = [str(system) for system in systems]
    return [System(name, texts[system]) for name, system in zip(names, systems, strict=True)]
