"""Settings as people write them, before they have types: YAML files and `KEY=VALUE` words.

`${NAME}` and `${NAME:-default}` are replaced from the environment in files that the user wrote. A run's own
`config.yaml` may come from somebody else, who must not learn what is in the environment.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from translator.config.paths import RUN_CONFIG, is_run_config
from translator.config.typed_values import NULLS
from translator.config.yaml_file import MAX_DEPTH, parse_yaml, read_yaml
from translator.errors import ConfigError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_ODD = re.compile("[\0\ud800-\udfff]")


def read_values(
    path: str | Path | None, overrides: Sequence[str], problems: list[str], of_run: bool = False
) -> dict[str, Any]:
    """Return the settings of a file with `KEY=VALUE` replacements, nested by section, with every scalar still as text.

    Mistakes are added to `problems`; a file that cannot be read as settings raises `ConfigError`. `of_run` means the
    file of a run, whatever its name, in which no environment variables are replaced.
    """
    values = _read_file(Path(path), problems, of_run) if path is not None else {}
    for key, value in _read_overrides(overrides, problems).items():
        _insert(values, key, value, problems)
    problems.extend(_odd_text(values))
    return values


def _read_file(path: Path, problems: list[str], of_run: bool) -> dict[str, Any]:
    if path.is_dir():
        path, of_run = path / RUN_CONFIG, True
    of_run = of_run or is_run_config(path)
    if of_run and path.exists() and not path.is_file():
        # Outside a run, `train <(command)` may name a pipe.
        raise ConfigError([f"{path} is no file; put the settings of the run back"])
    values = read_yaml(path, problems)
    if values in (None, ""):
        return {}
    if not isinstance(values, dict):
        raise ConfigError([f"{path}: expected settings as `name: value`, found {_kind(values)}"])
    expanded: dict[str, Any] = values if of_run else _expand(values, problems)
    return expanded


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else "text"


def _odd_text(value: Any, name: str = "") -> Iterator[str]:
    """Find text that no file can hold under UTF-8, or no path at all."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _odd_text(key, f"{name}.{key}".strip("."))
            yield from _odd_text(item, f"{name}.{key}".strip("."))
    elif isinstance(value, list):
        for item in value:
            yield from _odd_text(item, name)
    elif isinstance(value, str) and (found := _ODD.search(value)):
        what = "a NUL character" if found[0] == "\0" else "bytes that are not UTF-8"
        yield f"{name}: found {what} in {value[:60]!r}; leave them out"


def _expand(value: Any, problems: list[str]) -> Any:
    """Replace `${NAME}` and `${NAME:-default}` in every scalar."""
    if isinstance(value, dict):
        return {key: _expand(item, problems) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, problems) for item in value]

    def replacement(match: re.Match[str]) -> str:
        found = os.environ.get(match[1]) or match[2]
        if found is None:
            problems.append(f"${{{match[1]}}}: the environment variable {match[1]} is not set; set it")
        return found or ""

    return _VARIABLE.sub(replacement, str(value))


def _read_overrides(overrides: Sequence[str], problems: list[str]) -> dict[str, Any]:
    """Parse `KEY=VALUE` words; a corpus given twice is its two sides (a shell turns `x.{en,de}` into two words)."""
    values: dict[str, Any] = {}
    for word in overrides:
        key, equals, text = word.partition("=")
        if not equals or not key:
            problems.append(f"`{word}`: expected KEY=VALUE, such as training.max_steps=8k")
            continue
        try:
            # A brace pattern is a path here, not a YAML mapping.
            value = parse_yaml(text, f"`{word}`", problems) if text.startswith("[") else text
        except ConfigError:
            problems.append(f"`{word}` is not a valid YAML list; put quotes around paths with braces or commas, as in "
                            "'data.train=[{path: \"a.{en,de}\"}, {path: \"b.{en,de}\"}]'")  # fmt: skip
            continue
        if key not in values:
            values[key] = value
        elif key in ("data.train", "data.valid", "data.test") and isinstance(values[key], str):
            values[key] = [values[key], value]
        else:
            problems.append(f"`{key}` is given twice; keep one")
    return values


def _insert(values: dict[str, Any], key: str, value: Any, problems: list[str]) -> None:
    *sections, name = key.split(".")
    if len(sections) > MAX_DEPTH:
        problems.append(f"`{key[:60]}...`: nested more than {MAX_DEPTH} deep; expected SECTION.NAME=VALUE")
        return
    section_values = values
    for section in sections:
        child = section_values.get(section, {})
        if child is None or (isinstance(child, str) and child in NULLS):
            child = {}  # A section whose settings are all commented out.
        section_values[section] = child
        if not isinstance(child, dict):
            problems.append(f"`{key}`: `{section}` has no settings inside")
            return
        section_values = child
    if isinstance(section_values.get(name), dict):
        problems.append(f"`{key}`: found a value and settings inside it; keep one")
        return
    section_values[name] = value
