"""The settings of a run as its directory keeps them: written, read back and compared."""

from pathlib import Path
from typing import Any

import yaml

from translator.config.paths import RUN_CONFIG, RUN_FOLDERS, named_after
from translator.config.presets import resolve_preset
from translator.config.schema import Config
from translator.config.typed_values import validate
from translator.config.written_values import read_values
from translator.errors import CheckpointError, ConfigError
from translator.runtime.directories import find_special
from translator.runtime.files import write_text


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
        config = named_after(validate(read_values(file, (), problems, of_run=True), problems), file)
        return config if config.preset == "auto" else resolve_preset(config)
    except ConfigError as error:
        raise ConfigError(error.problems, file) from None


def changed_settings(old: Config, new: Config) -> dict[str, tuple[Any, Any]]:
    """Compare two configurations; return (old, new) values by dotted name where they differ."""
    before, after = _flat(old.model_dump(mode="json")), _flat(new.model_dump(mode="json"))
    return {name: (before[name], after[name]) for name in before if before[name] != after[name]}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
