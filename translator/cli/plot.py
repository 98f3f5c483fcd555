"""`translator plot`: a picture of how training went."""

from pathlib import Path
from typing import Annotated

import typer


def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN ...", help="Run directories, laid over each other.")],
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ends in .png, .svg or .pdf; by default plot.png in the (first) run."),
    ] = None,
) -> None:
    """Draw losses, scores, learning rate, speed and gradient norm by step, and print where the picture is."""
    from translator.training.plot import plot_runs

    typer.echo(plot_runs(runs, output or runs[0] / "plot.png"))
