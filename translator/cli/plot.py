"""`translator plot`: the training curves as a picture."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from translator.cli.arguments import check_results


class Axis(StrEnum):
    """What the horizontal axis is."""

    step = "step"
    tokens = "tokens"
    minutes = "minutes"


def plot(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN ...", help="Run directories; several are drawn over each other.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Picture to write (.png, .svg or .pdf); by default plot.png in the first run."
        ),
    ] = None,
    by: Annotated[
        Axis, typer.Option("--by", help="Horizontal axis: steps, target tokens, or minutes spent in training steps.")
    ] = Axis.step,
) -> None:
    """Draw the training curves.

    Losses, scores, learning rate, speed and gradient norm. Prints the path of the picture.
    """
    from translator.checkpoints.run_directory import RunDirectory
    from translator.runtime.console import print_result
    from translator.runtime.directories import refuse_links
    from translator.runtime.figures import PICTURES
    from translator.training.plot import plot_runs

    picture = output or RunDirectory(runs[0]).plot
    if output is None:
        # A link that the user did not name may be that of whoever made the run.
        refuse_links(runs[0], [picture])
    check_results(picture, PICTURES, runs=runs)
    print_result(plot_runs(runs, picture, by=by.value))
