"""`translator plot`: the training curves as a picture."""

from pathlib import Path
from typing import Annotated

import typer


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
) -> None:
    """Draw the training curves.

    Losses, scores, learning rate, speed and gradient norm by step. Prints the path of the picture.
    """
    from translator.runtime.console import print_result
    from translator.training.plot import plot_runs

    print_result(plot_runs(runs, output or runs[0] / "plot.png"))
