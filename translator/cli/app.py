"""The `translator` program: its commands, and how it ends after an error.

Commands import what they need in their bodies, so that `--help` loads no torch.
"""

import os
import sys
from typing import Annotated

import typer

from translator import __version__
from translator.errors import TranslatorError


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"translator {__version__}")
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
        config,
        data,
        doctor,
        evaluate,
        heads,
        plot,
        prune,
        score,
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
    app.command()(evaluate.evaluate)
    app.command()(attention.attention)
    app.command()(heads.heads)
    app.command()(prune.prune)
    app.command()(plot.plot)
    app.command()(average.average)
    app.command()(doctor.doctor)
    app.add_typer(tokenizer.app, name="tokenizer", help="Train and apply a SentencePiece tokenizer.")
    app.add_typer(data.app, name="data", help="Prepare parallel text and report on it.")
    app.add_typer(config.app, name="config", help="Show the settings of a run, or all there are.")
    return app


def main() -> None:
    """Run the program.

    Exit codes: 1 after an error that the message explains, 2 for wrong usage, 130 after Ctrl-C, 141 (without a message)
    if the reader of a pipe has closed it.
    """
    app = make_app()
    try:
        app()
    except TranslatorError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        # The reader is gone (`| head`); without this the interpreter complains when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except KeyboardInterrupt:
        sys.exit(130)
