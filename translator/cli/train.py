"""`translator train`: from corpora to a model, or on from where the run stopped."""

import sys
from pathlib import Path

import typer

from translator.cli.arguments import SettingsWords, split_arguments


def train(arguments: SettingsWords = None) -> None:
    """Train a model; what is missing (tokenizer, prepared data) is made first, an unfinished run is resumed."""
    from translator.config import load_config

    path, overrides = split_arguments(arguments)
    config = load_config(path, overrides)

    from translator.runtime.launch import is_main, is_worker, launch

    if config.devices > 1 and not is_worker():
        raise typer.Exit(launch(config.devices, config.device, ["-m", "translator", *sys.argv[1:]]))

    from translator.training import train as run_training

    result = run_training(config)
    if is_main():
        typer.echo(Path(result.directory))
