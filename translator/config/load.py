"""Loading settings: what a file, `KEY=VALUE` words and Python values state becomes complete, checked settings.

`written_values.py` reads them as text and `typed_values.py` gives them types. Here they are completed by what the run's
own directory, the run to start from and the preset decide, and impossible combinations are found.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from translator.config.corpus_spec import corpus_mistakes
from translator.config.decoding_rules import decoding_mistakes, validation_mistakes
from translator.config.fine_tuning import adopt_settings, parse_start, start_mistakes
from translator.config.paths import named_after, own_directory
from translator.config.presets import resolve_preset
from translator.config.run_config import read_run_config
from translator.config.schema import Config
from translator.config.sections import DecodingSettings
from translator.config.typed_values import validate, with_nulls
from translator.config.written_values import read_values
from translator.errors import ConfigError
from translator.runtime.console import say

_SECTIONS = ("data", "tokenizer", "model", "training", "decoding")


def load_config(
    path: str | Path | None = None, overrides: Sequence[str] = (), values: Mapping[str, Any] | None = None
) -> Config:
    """Read settings from a YAML file, dotted `KEY=VALUE` replacements and Python `values`, the last taking precedence.

    `path` may be a run directory, which means the settings in it. A run's own `config.yaml`, too, means the
    directory that it is in now: the run may have been copied or moved since its setting `run` was written.

    A named preset is applied; `preset: auto` waits until the amount of text is known (`choose_preset`). If
    `start_from` is set, its run decides tokenizer, preset and model. Raises `ConfigError` with all mistakes, each with
    the name of the setting and what was expected.
    """
    return complete_config(read_settings(path, overrides, values))


def read_settings(
    path: str | Path | None = None, overrides: Sequence[str] = (), values: Mapping[str, Any] | None = None
) -> Config:
    """Read settings as `load_config` does, each checked by itself; presets and combinations are left out."""
    problems: list[str] = []
    values = {**read_values(path, overrides, problems), **(values or {})}
    if path is not None and not any(word.partition("=")[0] == "run" for word in overrides):
        _mean_own_directory(values, Path(path))
    try:
        return named_after(validate(values, problems), path)
    except ConfigError as error:
        others = [*start_mistakes(values.get("start_from")), *_decoding_mistakes(values.get("decoding"))]
        raise ConfigError([*error.problems, *others]) from None


def complete_config(config: Config) -> Config:
    """Fill in what the run named by `start_from` decides, then the preset unless it is `auto`.

    Complete settings stay as they are. Raises `ConfigError` with all settings that contradict each other.
    """
    problems = start_mistakes(config.start_from)
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


def _mean_own_directory(values: dict[str, Any], path: Path) -> None:
    """Let the settings of a run, read from `path`, mean the run directory they are in; say so if that is another one.

    Settings that only look like a run's (a `config.yaml` next to a directory `models`) are not complete.
    """
    directory = path if path.is_dir() else own_directory(path)
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


def _decoding_mistakes(values: Any) -> list[str]:
    """Find impossible combinations in the section of decoding, if it is in order by itself."""
    try:
        return decoding_mistakes(DecodingSettings.model_validate(with_nulls(values or {}, DecodingSettings)))
    except ValidationError:
        return []
