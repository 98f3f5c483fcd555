"""`translator doctor`: what this machine has, for choosing settings and for bug reports."""

import json
from typing import Annotated

import typer

from translator.cli.arguments import TextOrJson


def doctor(
    form: Annotated[
        TextOrJson, typer.Option("--format", help="text: a line for each fact; json: one object.")
    ] = TextOrJson.text,
) -> None:
    """Print versions, devices and what `auto` chooses on this machine."""
    from translator.runtime.console import print_result
    from translator.runtime.doctor import diagnose

    facts = diagnose()
    if form is TextOrJson.json:
        print_result(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        for name, value in facts.items():
            print_result(f"{name + ':':<16}{value}")
