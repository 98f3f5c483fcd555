"""Runs the commands of a recipe, one after the other, as a user would type them."""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from translator.errors import ConfigError
from translator.recipes.recipe import Recipe, find_data
from translator.runtime.console import say


def run_recipe(recipe: Recipe, run: Path | None = None, settings: Sequence[str] = ()) -> int:
    """Run every command; return the exit code of the first that fails, or 0.

    `run` replaces the run directory, `settings` are added where the commands say so. Every command of the program that
    takes long continues where it stopped, so a recipe that was interrupted is run again. Raises `ConfigError`, before
    anything is done, if data are missing or other than expected, or if no command takes the settings.
    """
    if settings and not any("$SETTINGS" in shlex.split(command) for command in recipe.commands):
        raise ConfigError(
            [f"found {' '.join(settings)}, but no command of the recipe says $SETTINGS; leave the settings out, or add "
             "$SETTINGS to the commands that are to take them"]
        )  # fmt: skip
    places = find_data(recipe)
    for number, command in enumerate(recipe.commands, start=1):
        words = recipe.filled(command, run or Path(recipe.run), places, tuple(settings))
        say(f"{number} of {len(recipe.commands)}: translator {shlex.join(words)}")
        code = subprocess.run([sys.executable, "-m", "translator", *words]).returncode
        if code:
            say(f"the command ended with exit code {code}; the recipe continues there when it is run again")
            return code if code > 0 else 128 - code
    return 0
