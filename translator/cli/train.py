"""`translator train`: from corpora to a model, or from where an earlier call of the command stopped."""

import sys

import typer

from translator.cli.arguments import SettingsWords, split_arguments


def train(arguments: SettingsWords = None) -> None:
    """Train a model, or resume an unfinished run.

    What is missing (tokenizer, prepared data) is made first. Prints the run directory.
    """
    from translator.config import load_config
    from translator.distributed.launch import PROGRAM, is_worker, launch
    from translator.runtime.console import print_result

    path, overrides = split_arguments(arguments)
    if not is_worker():
        config = load_config(path, overrides)
        if config.devices > 1:
            raise typer.Exit(launch(config.devices, config.device, [PROGRAM, *sys.argv[1:]]))

        from translator.training import train as train_model

        print_result(train_model(config).directory)
        return

    from translator.distributed.world import join_world

    # The settings are read inside, so that one process reports their mistakes for all.
    with join_world() as world:
        config = load_config(path, overrides)

        from translator.training import train as train_model

        directory = train_model(config).directory
        if world.is_main:
            print_result(directory)
