"""What a recipe file says: the data that it needs, the commands of the program, and the scores that they gave.

Recipes are YAML files in `configs/recipes/`. In commands, `$NAME` is the directory of the data that the recipe calls
NAME, `$RUN` the run directory, and `$SETTINGS` the settings that the user added.
"""

import hashlib
import os
import re
import shlex
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from translator.config import DecodingSettings
from translator.config.yaml_file import read_yaml
from translator.errors import ConfigError, DataError

FOLDER = Path("configs") / "recipes"
_NOT_YET = "not yet measured"
_UNKNOWN = "unknown"
_VARIABLE = re.compile(r"\$([A-Z][A-Z0-9_]*)")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(_Part):
    """A directory of files that the user has; an environment variable of the same name says where."""

    about: str
    """What it is and how to get it."""
    files: Annotated[dict[str, Annotated[str, Field(pattern=f"^([0-9a-f]{{64}}|{_UNKNOWN})$")]], Field(min_length=1)]
    """SHA-256 of each file, by its path in the directory; `unknown` as long as nothing was measured with it."""


class Expectation(_Part):
    """A score on a test set: measured by us, or published and not yet measured."""

    test_set: str
    """As `scores.json` names it: the name of the source file."""
    metric: str
    signature: str
    scores: tuple[float, ...] = ()
    """What was measured, one score for each seed."""
    tolerance: Annotated[float, Field(gt=0)] = 0.5
    """How far from the mean a score may be: the spread over seeds and machines."""
    published: float | None = None
    """What others report for this shape."""
    run: str = "$RUN"
    decoding: DecodingSettings = DecodingSettings()
    """Decoding settings other than the run's, with which it was translated; the command states them by `--set`."""

    @model_validator(mode="after")
    def _has_figure(self) -> "Expectation":
        if not self.scores and self.published is None:
            raise ValueError("expected `scores` that were measured, or a `published` score")
        return self

    @property
    def mean(self) -> float | None:
        """The mean of the measured scores."""
        return statistics.fmean(self.scores) if self.scores else None

    @property
    def spread(self) -> float | None:
        """The standard deviation over seeds, if there are several."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else None


class Recipe(_Part):
    """A whole experiment: what it needs, its commands, and what they gave."""

    about: str
    data: dict[Annotated[str, Field(pattern="^[A-Z][A-Z0-9_]*$")], Data] = {}
    run: str
    """The run directory, unless the user names another."""
    commands: Annotated[tuple[str, ...], Field(min_length=1)]
    """Commands of the program, without its name."""
    expected: Annotated[tuple[Expectation, ...], Field(min_length=1)]
    measured: str
    """When, on which machine, with which versions; minutes and memory. Or: not yet measured."""

    @property
    def is_measured(self) -> bool:
        """Whether there is a score of ours that a run can be held to."""
        return any(expectation.scores for expectation in self.expected)

    @model_validator(mode="after")
    def _says_what_was_measured(self) -> "Recipe":
        if self.is_measured == self.measured.startswith(_NOT_YET):
            raise ValueError(
                f"measured: found {self.measured[:60]!r} {'with' if self.is_measured else 'without'} scores; expected "
                f"{f'`{_NOT_YET}` only without scores' if self.is_measured else f'`{_NOT_YET}` until there are scores'}"
            )
        files = [digest for data in self.data.values() for digest in data.files.values()]
        if self.is_measured and _UNKNOWN in files:
            raise ValueError("data: found a file without SHA-256 in a recipe with scores; expected that of every file")
        return self

    @model_validator(mode="after")
    def _knows_its_variables(self) -> "Recipe":
        known = {*self.data, "RUN", "SETTINGS"}
        texts = [*self.commands, *(expectation.run for expectation in self.expected)]
        if unknown := {name for text in texts for name in _VARIABLE.findall(text)} - known:
            raise ValueError(f"found ${min(unknown)}; expected {', '.join(f'${name}' for name in sorted(known))}")
        return self

    def filled(self, text: str, run: Path, places: Mapping[str, Path], settings: tuple[str, ...] = ()) -> list[str]:
        """Return the words of a command with all variables replaced; `$SETTINGS` becomes as many words as there are.

        Where they are, they also replace what the command states of the same settings.
        """
        values = {"RUN": str(run), **{name: str(path) for name, path in places.items()}}
        words: list[str] = []
        own = shlex.split(text)
        replaced = {setting.partition("=")[0] for setting in settings} if "$SETTINGS" in own else set()
        for word in own:
            if word == "$SETTINGS":
                words += settings
            elif "=" not in word or word.partition("=")[0] not in replaced:
                words.append(_VARIABLE.sub(lambda match: values[match[1]], word))
        return words


def find_recipes(folder: Path = FOLDER) -> dict[str, Path]:
    """Return the recipe files in a folder by name, in the order of the names."""
    return {path.stem: path for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem)}


def read_recipe(name: str) -> Recipe:
    """Read a recipe by its name in `configs/recipes/`, or by the path of its file.

    Raises `DataError` if there is none, and `ConfigError` with everything that is wrong in it.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(find_recipes()) or f"none: the folder {FOLDER} comes with the repository"
        raise DataError(f"there is no recipe {path}; expected a path, or a name in {FOLDER} ({known})")
    problems: list[str] = []
    values = read_yaml(path, problems)
    if problems:
        raise ConfigError(problems)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise ConfigError(
            [f"{path}: {'.'.join(map(str, item['loc']))}: {item['msg']}".replace(": :", ":") for item in error.errors()]
        ) from None


def find_data(recipe: Recipe) -> dict[str, Path]:
    """Find the data of a recipe in the directories that the environment names, and compare all checksums.

    Raises `ConfigError` with everything that is missing or differs, and how to get it.
    """
    problems, places = [], {}
    for name, data in recipe.data.items():
        value = os.environ.get(name)
        if not value:
            problems.append(f"{name} is not set; set it to a directory with {', '.join(data.files)}. {data.about}")
            continue
        places[name] = Path(value)
        for file, expected in data.files.items():
            path = places[name] / file
            try:
                with path.open("rb") as stream:
                    found = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                problems.append(f"{path} cannot be read ({error.strerror}). {data.about}")
                continue
            if expected not in (found, _UNKNOWN):
                problems.append(f"{path} is another file: found SHA-256 {found}, expected {expected}. {data.about}")
    if problems:
        raise ConfigError(problems)
    return places
