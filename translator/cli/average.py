"""`translator average`: the mean of checkpoints' weights, under a name of its own."""

from typing import Annotated

import typer

from translator.cli.arguments import Run


def average(
    run: Run,
    last: Annotated[int, typer.Option(min=1, help="Average so many of the newest checkpoints.")] = 5,
    best: Annotated[int | None, typer.Option(min=1, help="Average so many of the best checkpoints instead.")] = None,
    step: Annotated[list[int] | None, typer.Option(help="Average these steps instead; repeat the option.")] = None,
    name: Annotated[str, typer.Option(help="Name of the weights, for --weights of later commands.")] = "average",
) -> None:
    """Average checkpoints of a run and store the weights in RUN/models/NAME."""
    from translator.checkpoints import RunDirectory, average_checkpoints, best_steps, write_checkpoint
    from translator.config import read_run_config

    config = read_run_config(run)
    directory = RunDirectory(run)
    if best is not None:
        steps = best_steps(directory, config.training.best_metric)[:best]
    else:
        steps = step or directory.steps()[-last:]
    result = average_checkpoints([directory.weights(str(number)) for number in steps])
    path = directory.models / name
    write_checkpoint(path, result)
    typer.echo(f"{path}: average of {', '.join(result.state['average_of'])}")
