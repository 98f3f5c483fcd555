"""The `translator` program: which commands there are, and what becomes of an error.

Commands import what they need in their bodies, so that `--help` loads no torch.
"""

import os
import sys

import typer

from translator.errors import TranslatorError

app = typer.Typer(
    name="translator",
    help="Train translation models from parallel text, translate, and score.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _register() -> None:
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


def main() -> None:
    """Run the program; explained errors exit with 1, wrong usage with 2, a closed pipe quietly."""
    _register()
    try:
        app()
    except TranslatorError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        # The reader has gone (`| head`); stop the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except KeyboardInterrupt:
        sys.exit(130)
