"""`translator recipe`: whole experiments with the scores that they must reach."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a recipe in configs/recipes, or its file.")]
Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="run=DIRECTORY, and settings for the recipe's trainings."),
]


@app.command("list")
def list_recipes() -> None:
    """Print the recipes in configs/recipes, and which of them were not yet measured."""
    from translator.errors import DataError
    from translator.recipes import FOLDER, find_recipes, read_recipe
    from translator.runtime.columns import align
    from translator.runtime.console import print_result

    recipes = {name: read_recipe(name) for name in find_recipes()}
    if not recipes:
        raise DataError(f"there are no recipes in {FOLDER} of {Path.cwd()}; the folder comes with the repository")
    notes = {True: "", False: " (not yet measured)"}
    rows = [(name, " ".join(it.about.split()) + notes[it.is_measured]) for name, it in recipes.items()]
    print_result("\n".join(align(rows, left=(0, 1))))


@app.command()
def show(name: Name) -> None:
    """Print what a recipe needs, its commands, and the scores that were measured."""
    from translator.recipes import expectations_table, read_recipe
    from translator.runtime.console import print_result

    recipe = read_recipe(name)
    print_result(recipe.about.strip())
    for variable, data in recipe.data.items():
        print_result(f"\n${variable}: {' '.join(data.about.split())}")
        for file, digest in data.files.items():
            print_result(f"  {digest:<64}  {file}")
    print_result("")
    for command in recipe.commands:
        print_result(f"translator {' '.join(command.split())}")
    print_result(f"\n{expectations_table(recipe.expected)}")
    print_result(f"\n{recipe.measured.strip()}")


@app.command()
def run(name: Name, words: Words = None) -> None:
    """Run the commands of a recipe; run it again to continue after an interruption.

    Data are compared with the recipe's checksums first.
    """
    from translator.recipes import read_recipe, run_recipe

    directory, settings = _split(words)
    if code := run_recipe(read_recipe(name), directory, settings):
        raise SystemExit(code)


@app.command()
def check(name: Name, words: Words = None) -> None:
    """Compare the scores of a finished run with those of the recipe; the exit code is 1 if one differs."""
    from translator.recipes import check_recipe, findings_table, read_recipe
    from translator.runtime.console import print_result

    directory, settings = _split(words)
    if settings:
        raise typer.BadParameter(f"{settings[0]!r}: a check takes no settings; expected run=DIRECTORY or nothing")
    findings = check_recipe(read_recipe(name), directory)
    print_result(findings_table(findings))
    if not all(finding.is_held for finding in findings):
        raise SystemExit(1)


def _split(words: list[str] | None) -> tuple[Path | None, list[str]]:
    """Take `run=DIRECTORY` out of the settings; an empty one is the recipe's own, as everywhere."""
    directories: list[Path | None] = []
    settings = []
    for word in words or []:
        key, equals, value = word.partition("=")
        if not equals:
            raise typer.BadParameter(f"{word!r}: expected KEY=VALUE, such as run=runs/second or seed=2")
        if key == "run":
            directories.append(Path(value) if value else None)
        else:
            settings.append(word)
    if len(directories) > 1:
        raise typer.BadParameter("`run` is given twice; keep one")
    return directories[0] if directories else None, settings
