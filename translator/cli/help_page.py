"""The help texts of all commands as one page of Markdown: `python -m translator.cli.help_page > docs/commands.md`."""

from typing import Any

import typer
from typer.main import get_command

from translator.cli.app import make_app

# Characters to a line; otherwise the page would depend on the terminal in which it is made.
WIDTH = 100

INTRODUCTION = """\
# Commands

What `translator COMMAND --help` prints, for every command. This page is generated; after a change of a command run

    python -m translator.cli.help_page > docs/commands.md

`translator config schema` prints every setting that `KEY=VALUE` can replace.
"""


def help_page() -> str:
    """Return the whole page."""
    return "\n".join([INTRODUCTION, *_sections(get_command(make_app()), "translator")])


def _sections(command: Any, name: str) -> list[str]:
    """Return the help of a command and, below it, of its subcommands; `name` is what a person types."""
    context = typer.Context(command, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH)
    found = [f"## {name}\n\n```text\n{command.get_help(context)}\n```\n"]
    for subcommand, inner in getattr(command, "commands", {}).items():
        found += _sections(inner, f"{name} {subcommand}")
    return found


if __name__ == "__main__":
    typer.echo(help_page(), nl=False)
