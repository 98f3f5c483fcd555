"""`translator data`: parallel text prepared for training, and a report on it."""

from pathlib import Path
from typing import Annotated

import typer

from translator.cli.arguments import SettingsWords, split_arguments

app = typer.Typer(no_args_is_help=True)


@app.command()
def prepare(
    arguments: SettingsWords = None,
) -> None:
    """Check, clean and encode the corpora.

    `train` does this first. Several machines share the work under torchrun. Prints the directory of the result.
    """
    from translator.config import load_config, prepared_directory
    from translator.data import prepare as prepare_data
    from translator.distributed.world import join_world
    from translator.runtime.console import print_result
    from translator.training.continuation import require_agreement

    path, overrides = split_arguments(arguments)
    # `devices` are not started here: each process has workers for all its cores, so one on each machine is enough.
    with join_world() as world:
        config = load_config(path, overrides)
        begun = require_agreement(config)
        directory = prepare_data(config, prepared_directory(config), begun=begun, world=world).directory
        if world.is_main:
            print_result(directory)


@app.command()
def report(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DIRECTORY|CONFIG.yaml KEY=VALUE",
            help="A run or prepared data, or the arguments of `data prepare`.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the same figures as JSON.")] = False,
) -> None:
    """Print figures about the training data.

    Counts, what cleaning dropped, lengths, unknown pieces, and the preset that suits the text.
    """
    import json

    from translator.config import load_config, prepared_directory
    from translator.data import describe_report, find_prepared, load_prepared, report
    from translator.runtime.console import print_result

    path, overrides = split_arguments(arguments)
    if path is not None and path.is_dir():
        if overrides:
            raise typer.BadParameter("settings cannot be replaced in data that is already prepared; leave them out")
        directory = find_prepared(path)
    else:
        directory = prepared_directory(load_config(path, overrides))
    figures = report(load_prepared(directory))
    if as_json:
        print_result(json.dumps(figures, indent=2, ensure_ascii=False))
    else:
        print_result(describe_report(figures), end="")


@app.command(name="filter")
def filter_(
    output: Annotated[Path, typer.Option(metavar="DIR", help="New directory for the text.")],
    arguments: SettingsWords = None,
    dropped: Annotated[
        bool, typer.Option("--dropped", help="Also write the other pairs, with reasons, to DIR/dropped.jsonl.")
    ] = False,
) -> None:
    """Write the training pairs that cleaning keeps as text.

    For other tools: files `train.en` and `train.de`, or `train-1.en` and so on for several corpora. Leaks, repetitions
    and filters (`data.drop_...`, `data.min_...`) count; lengths in pieces do not. Prints the directory.
    """
    from translator.config import load_config
    from translator.data import write_filtered
    from translator.runtime.console import print_result

    write_filtered(load_config(*split_arguments(arguments)).data, output, dropped)
    print_result(output)
