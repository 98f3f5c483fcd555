"""`translator train`: from corpora to a model, or on from where the run stopped."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from translator.cli.arguments import SettingsWords, split_arguments

if TYPE_CHECKING:
    from translator.config import Config


def train(arguments: SettingsWords = None) -> None:
    """Train a model; what is missing (tokenizer, prepared data) is made first, an unfinished run is resumed."""
    from translator.config import load_config
    from translator.distributed.launch import is_worker, launch

    path, overrides = split_arguments(arguments)
    if not is_worker():
        config = load_config(path, overrides)
        if config.devices > 1:
            raise typer.Exit(launch(config.devices, config.device, ["-m", "translator", *sys.argv[1:]]))
        typer.echo(_train(config))
        return

    from translator.distributed.world import join_world

    # Mistakes in the settings, too, are said by one process for all.
    with join_world() as world:
        directory = _train(load_config(path, overrides))
        if world.is_main:
            typer.echo(directory)


def _train(config: "Config") -> Path:
    from translator.training import train

    return train(config).directory
