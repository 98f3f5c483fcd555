"""`translator doctor`: what this machine has, for choosing settings and for bug reports."""

import typer


def doctor() -> None:
    """Print versions, devices and what will be chosen on this machine."""
    from translator.runtime.doctor import diagnose

    for name, value in diagnose().items():
        typer.echo(f"{name + ':':<16}{value}")
