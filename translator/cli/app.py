"""The `translator` program: its commands, and how it ends after an error.

Commands import what they need in their bodies, so that `--help` loads no torch.
"""

import sys
from typing import Annotated

import typer

from translator import __version__
from translator.cli.boundary import run_program, use_utf8


def _print_version(wanted: bool) -> None:
    if wanted:
        from translator.runtime.console import print_result

        print_result(f"translator {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Hold the options of `translator` itself; the help is that of the app."""


def make_app() -> typer.Typer:
    """Build the program with all its commands."""
    from translator.cli import (
        attention,
        average,
        compare,
        config,
        data,
        distill,
        doctor,
        evaluate,
        export,
        heads,
        import_,
        plot,
        prune,
        recipe,
        score,
        serve,
        shortlist,
        synthesize,
        tokenizer,
        train,
        translate,
    )

    app = typer.Typer(
        name="translator",
        help="Train translation models from parallel text, translate, and score.",
        no_args_is_help=True,
        callback=_options,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.command()(train.train)
    app.command()(translate.translate)
    app.command()(score.score)
    app.command()(serve.serve)
    app.command()(synthesize.synthesize)
    app.command()(distill.distill)
    app.command()(evaluate.evaluate)
    app.command()(compare.compare)
    app.command()(attention.attention)
    app.command()(heads.heads)
    app.command()(prune.prune)
    app.command()(plot.plot)
    app.command()(average.average)
    app.command()(shortlist.shortlist)
    app.command()(export.export)
    app.command("import")(import_.import_model)
    app.command()(doctor.doctor)
    app.add_typer(tokenizer.app, name="tokenizer", help="Train and apply a SentencePiece tokenizer.")
    app.add_typer(data.app, name="data", help="Prepare parallel text and report on it.")
    app.add_typer(recipe.app, name="recipe", help="Run whole experiments, and hold them to their scores.")
    app.add_typer(config.app, name="config", help="Show the settings of a run, or all there are.")
    return app


def main() -> None:
    """Run the program and exit; see `boundary` for what becomes of errors."""
    use_utf8()
    sys.exit(run_program(lambda: make_app()(standalone_mode=False)))
