"""`translator train`: from corpora to a model, or on from where the run stopped."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CONFIG.yaml] [KEY=VALUE ...]", help="Settings file, and settings that replace."),
    ] = None,
) -> None:
    """Train a model; what is missing (tokenizer, prepared data) is made first, an unfinished run is resumed."""
    from translator.cli.arguments import split_arguments
    from translator.config import load_config

    path, overrides = split_arguments(arguments)
    config = load_config(path, overrides)

    from translator.training import train as run_training

    result = run_training(config)
    typer.echo(Path(result.directory))
