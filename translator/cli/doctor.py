"""`translator doctor`: what this machine has, for choosing settings and for bug reports."""

import json
from enum import StrEnum
from typing import Annotated

import typer


class Form(StrEnum):
    """How the facts are printed."""

    text = "text"
    json = "json"


def doctor(
    form: Annotated[Form, typer.Option("--format", help="text: a line for each fact; json: one object.")] = Form.text,
) -> None:
    """Print versions, devices and what `auto` chooses on this machine."""
    from translator.runtime.console import print_result
    from translator.runtime.doctor import diagnose

    facts = diagnose()
    if form is Form.json:
        print_result(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        for name, value in facts.items():
            print_result(f"{name + ':':<16}{value}")
