"""`translator average`: the mean of the weights of several checkpoints, stored under a name."""

from typing import Annotated

import typer

from translator.cli.arguments import Run


def average(
    run: Run,
    last: Annotated[int, typer.Option(min=1, metavar="N", help="How many of the newest checkpoints to average.")] = 5,
    best: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many of the best checkpoints to average instead.")
    ] = None,
    step: Annotated[
        list[int] | None, typer.Option(metavar="STEP", help="Average this step instead; repeatable.")
    ] = None,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the result, for --weights of later commands.")
    ] = "average",
) -> None:
    """Average checkpoints of a run and store the weights in RUN/models/NAME."""
    from translator.checkpoints import (
        RunDirectory,
        average_checkpoints,
        best_steps,
        check_identity,
        files_of_checkpoint,
        run_identity,
        write_checkpoint,
    )
    from translator.config import read_run_config
    from translator.runtime.console import print_result
    from translator.runtime.directories import refuse_foreign

    config = read_run_config(run)
    directory = RunDirectory(run)
    path = directory.model(name)
    directory.refuse_links()
    refuse_foreign(path, files_of_checkpoint)
    validated = best_steps(directory, config.training.best_metric)
    if best is not None and step:
        raise typer.BadParameter("--best and --step each name checkpoints; expected one of them")
    if best is not None:
        steps = validated[:best]
    else:
        # What an interruption left among the newest is none of the training's own.
        steps = sorted(set(step)) if step else (sorted(validated) or directory.steps())[-last:]
    paths = [directory.weights(str(number)) for number in steps]
    result = average_checkpoints(paths)
    identity = run_identity(run)
    check_identity(paths[-1], result.state, identity, directory.root)
    result.state.update(identity.as_state())
    write_checkpoint(path, result)
    print_result(f"{path}: average of {', '.join(result.state['average_of'])}")
