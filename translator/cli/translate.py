"""`translator translate`: lines in, as many translated lines out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from translator.cli.arguments import (
    CallSettings,
    EngineChoice,
    EngineName,
    Form,
    InputForm,
    Markup,
    Run,
    To,
    TogetherWith,
    Weights,
    check_results,
    load_translator,
    open_inputs,
    read_call,
)
from translator.cli.processes import shared_by_processes

if TYPE_CHECKING:
    from translator.config import Config


def translate(
    run: Run,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="Text; by default stdin (also `-`).")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write a file instead of stdout. It appears when it is complete; the same command resumes after an "
            "interruption.",
        ),
    ] = None,
    form: Annotated[
        Form,
        InputForm,
        typer.Option(
            "--format",
            help="text: the best translation; tsv: line, rank, score, log-probability and text of each; "
            "jsonl: pieces, alignment, time and warnings too.",
        ),
    ] = Form.text,
    input_form: Annotated[
        InputForm,
        typer.Option(
            "--input-format",
            help="text: a line is a sentence; jsonl: an object with text and, if wanted, prefix, required, banned, to.",
        ),
    ] = InputForm.text,
    glossary: Annotated[
        Path | None,
        typer.Option(
            "--glossary",
            metavar="FILE",
            help="Table of source terms and target terms, tab between them, that translations must use.",
        ),
    ] = None,
    markup: Annotated[
        Markup, typer.Option(help="html, xml: keep tags, and translate only the text between them.")
    ] = Markup.none,
    document: Annotated[
        bool, typer.Option("--document", help="Lines are paragraphs: translate each of their sentences on its own.")
    ] = False,
    together_with: TogetherWith = None,
    engine: EngineName = EngineChoice.auto,
    to: To = None,
    settings: CallSettings = None,
    weights: Weights = None,
) -> None:
    """Translate lines from files or stdin: as many out as in, in order."""
    from translator.translation import Glossary, translate_inputs

    def read() -> "Config":
        call = read_call(run, settings)
        if output is not None:
            runs = [run, *(together_with or [])]
            read_files = [*(files or [Path("-")]), *([glossary] if glossary else [])]
            check_results(output, runs=runs, files=read_files, makes_parents=False)
        return call

    with shared_by_processes(read) as (call, world):
        terms = Glossary.read(glossary) if glossary is not None else None
        inputs = open_inputs(files) if world.is_main else []
        translator, replaced = load_translator(run, call, together_with, engine, weights)
        if document:
            replaced = replaced.model_copy(update={"long_lines": "split", "split_above": 0})
        translate_inputs(
            translator, inputs, replaced, output=output, form=form.value, input_form=input_form.value, glossary=terms,
            markup=markup.value, to=to, world=world,
        )  # fmt: skip
