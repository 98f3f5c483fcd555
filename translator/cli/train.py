"""`translator train`: from corpora to a model, or from where an earlier call of the command stopped."""

from translator.cli.arguments import SettingsWords, split_arguments
from translator.cli.processes import shared_by_processes


def train(arguments: SettingsWords = None) -> None:
    """Train a model, or resume an unfinished run.

    What is missing (tokenizer, prepared data) is made first. Prints the run directory.
    """
    from translator.config import load_config
    from translator.runtime.console import print_result

    path, overrides = split_arguments(arguments)
    with shared_by_processes(lambda: load_config(path, overrides)) as (config, world):
        from translator.training import train as train_model

        directory = train_model(config).directory
        if world.is_main:
            print_result(directory)
