"""Reading settings: YAML and `KEY=VALUE`, with every mistake reported at once.

YAML scalars are read as text and converted by the type of the field, so that `1e-4` is a number and the
language code `no` is not False. `${NAME}` and `${NAME:-default}` are replaced from the environment in files that the
user wrote. A run's own `config.yaml` may come from somebody else, who must not learn what is in the environment.
"""

import os
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from translator.config.corpus_spec import corpus_mistakes
from translator.config.decoding_rules import decoding_mistakes, validation_mistakes
from translator.config.explain import explain_all
from translator.config.fine_tuning import adopt_settings, parse_start
from translator.config.presets import resolve_preset
from translator.config.schema import Config, DecodingSettings
from translator.config.yaml_file import MAX_DEPTH, parse_yaml, read_yaml
from translator.errors import CheckpointError, ConfigError
from translator.runtime.console import say
from translator.runtime.directories import find_special
from translator.runtime.files import write_text

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_NULLS = {"", "null", "~", "none", "None"}
_ODD = re.compile("[\0\ud800-\udfff]")
RUN_CONFIG = "config.yaml"
_SECTIONS = ("data", "tokenizer", "model", "training", "decoding")
RUN_FOLDERS = ("checkpoints", "models", "exports", "hypotheses", "prepared", "tensorboard")
"""Directories that a run may have."""
_IN_RUNS = ("checkpoints", "models", "metrics.jsonl", "tokenizer.model", "tokenizer.source.model")


def load_config(
    path: str | Path | None = None, overrides: Sequence[str] = (), values: Mapping[str, Any] | None = None
) -> Config:
    """Read settings from a YAML file, dotted `KEY=VALUE` replacements and Python `values`, the last taking precedence.

    `path` may be a run directory, which means the settings in it. A run's own `config.yaml`, too, means the
    directory that it is in now: the run may have been copied or moved since its setting `run` was written.

    A named preset is applied; `preset: auto` waits until the number of pairs is known (`resolve_preset`). If
    `start_from` is set, its run decides tokenizer, preset and model. Raises `ConfigError` with all mistakes, each with
    the name of the setting and what was expected.
    """
    return complete_config(read_settings(path, overrides, values))


def read_settings(
    path: str | Path | None = None, overrides: Sequence[str] = (), values: Mapping[str, Any] | None = None
) -> Config:
    """Read settings as `load_config` does, each checked by itself; presets and combinations are left out."""
    problems: list[str] = []
    values = {**_read_values(path, overrides, problems), **(values or {})}
    if path is not None and not any(word.partition("=")[0] == "run" for word in overrides):
        _mean_own_directory(values, Path(path))
    try:
        return _named(_validate(values, problems), path)
    except ConfigError as error:
        others = [*_start_mistakes(values.get("start_from")), *_decoding_mistakes(values.get("decoding"))]
        raise ConfigError([*error.problems, *others]) from None


def complete_config(config: Config) -> Config:
    """Fill in what the run named by `start_from` decides, then the preset unless it is `auto`.

    Complete settings stay as they are. Raises `ConfigError` with all settings that contradict each other.
    """
    problems = _start_mistakes(config.start_from)
    if config.start_from is not None and not problems:
        config = adopt_settings(config, read_run_config(parse_start(config.start_from).run), problems)
    try:
        config = resolve_preset(config) if config.preset != "auto" else config
    except ConfigError as error:
        problems += error.problems
    else:
        problems += corpus_mistakes(config.data) if config.preset == "auto" else []
    if config.tokenizer.extend and config.start_from is None:
        problems.append(
            f"tokenizer.extend: found {config.tokenizer.extend}, but no start_from, whose vocabulary would get these "
            "pieces; set start_from=RUN, or tokenizer.vocab_size for a vocabulary of this run's own"
        )
    problems += [*decoding_mistakes(config.decoding), *validation_mistakes(config.decoding, config.training)]
    if problems:
        raise ConfigError(problems)
    return config


def dump_config(config: Config) -> str:
    """Return all settings as YAML, which `load_config` reads back unchanged."""
    return str(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True))


def write_config(config: Config, path: Path) -> None:
    """Write all settings, resolved, as `dump_config` returns them; readers never see a part of the file."""
    write_text(path, dump_config(config))


def read_run_config(run: str | Path) -> Config:
    """Read the resolved settings of a run directory.

    Raises `CheckpointError` if it is not one, and `ConfigError` with the file's name if the settings are damaged.
    """
    file = Path(run) / RUN_CONFIG
    if not file.is_file():
        raise CheckpointError(
            f"{run} is not a run directory: it has no {RUN_CONFIG}. Expected the directory that "
            "`translator train` printed (the setting `run`)"
        )
    if (special := find_special(Path(run), RUN_FOLDERS)) is not None:
        raise CheckpointError(f"{special} is neither a file nor a directory, so it belongs to no run; remove it")
    # Without looking at `start_from`: the run that this one was started from need not exist any more.
    problems: list[str] = []
    try:
        config = _named(_validate(_read_values(file, (), problems, of_run=True), problems), file)
        return config if config.preset == "auto" else resolve_preset(config)
    except ConfigError as error:
        raise ConfigError(error.problems, file) from None


def _mean_own_directory(values: dict[str, Any], path: Path) -> None:
    """Let the settings of a run, read from `path`, mean the run directory they are in; say so if that is another one.

    Settings that only look like a run's (a `config.yaml` next to a directory `models`) are not complete.
    """
    directory = path if path.is_dir() else _own_directory(path)
    if directory is None or not (path.is_dir() or values.keys() >= {"run", "preset", *_SECTIONS}):
        return
    if directory.name in ("", ".."):
        # The setting is written into the run, where `.` would mean another directory tomorrow.
        directory = directory.resolve()
    stored = values.get("run")
    values["run"] = str(directory)
    if isinstance(stored, str) and Path(stored).resolve() != directory.resolve():
        say(
            f"{path} belongs to the run directory {directory}, which is meant here, and not {stored}, where its "
            "setting `run` points; run=DIRECTORY chooses another one"
        )


def _named(config: Config, path: str | Path | None) -> Config:
    if path is None or config.run is not None:
        return config
    return config.model_copy(update={"run": f"runs/{Path(path).name.removesuffix('.yaml')}"})


def _start_mistakes(start_from: Any) -> list[str]:
    if not isinstance(start_from, str) or start_from in _NULLS:
        return []
    run = parse_start(start_from).run
    if (run / RUN_CONFIG).is_file():
        return []
    return [
        f"start_from: {run} is not a run directory (it has no {RUN_CONFIG}); expected RUN or RUN:NAME with the "
        "directory that `translator train` printed"
    ]


def _decoding_mistakes(values: Any) -> list[str]:
    """Find impossible combinations in the section of decoding, if it is in order by itself."""
    try:
        return decoding_mistakes(DecodingSettings.model_validate(_with_nulls(values or {}, DecodingSettings)))
    except ValidationError:
        return []


def is_run_config(path: Path) -> bool:
    """Whether a settings file is that of a run directory: called so, with what a run holds next to it."""
    return _own_directory(path) is not None


def _own_directory(path: Path) -> Path | None:
    """The run directory that a settings file belongs to, itself or as what a link points to."""
    return next(
        (
            file.parent
            for file in (path, Path(os.path.realpath(path)))
            if file.name == RUN_CONFIG and any((file.parent / name).exists() for name in _IN_RUNS)
        ),
        None,
    )


def _read_values(
    path: str | Path | None, overrides: Sequence[str], problems: list[str], of_run: bool = False
) -> dict[str, Any]:
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
        child = section_values.setdefault(section, {})
        if not isinstance(child, dict):
            problems.append(f"`{key}`: `{section}` has no settings inside")
            return
        section_values = child
    if isinstance(section_values.get(name), dict):
        problems.append(f"`{key}`: found a value and settings inside it; keep one")
        return
    section_values[name] = value


def _validate(values: dict[str, Any], problems: list[str]) -> Config:
    try:
        config = Config.model_validate(_with_nulls(values, Config))
    except ValidationError as error:
        raise ConfigError(problems + explain_all(error)) from None
    if problems:
        raise ConfigError(problems)
    return config


def _with_nulls(values: Any, model: type[BaseModel]) -> Any:
    """Read `null` and the empty value as None where the field allows it, as YAML would."""
    if not isinstance(values, dict):
        return values
    result = {}
    for name, value in values.items():
        field = model.model_fields.get(name)
        inner = field.annotation if field else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            value = {} if isinstance(value, str) and value in _NULLS else _with_nulls(value, inner)
        elif isinstance(value, list) and (items := _settings_in(inner)) is not None:
            value = [_with_nulls(item, items) for item in value]
        elif isinstance(value, str) and value in _NULLS and field is not None and field.default is None:
            value = None
        result[name] = value
    return result


def _settings_in(annotation: Any) -> type[BaseModel] | None:
    """Return the settings that the items of a list have, if they have any, by the annotation of the list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_settings_in, typing.get_args(annotation))), None)


def changed_settings(old: Config, new: Config) -> dict[str, tuple[Any, Any]]:
    """Compare two configurations; return (old, new) values by dotted name where they differ."""
    before, after = _flat(old.model_dump(mode="json")), _flat(new.model_dump(mode="json"))
    return {name: (before[name], after[name]) for name in before if before[name] != after[name]}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
