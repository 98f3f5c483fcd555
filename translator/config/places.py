"""Where a run and its prepared data lie when nothing else is said."""

import re
from pathlib import Path

from translator.config.schema import Config

_BRACES = re.compile(r"\{([^{},/]+),([^{},/]+)\}")


def run_directory(config: Config) -> Path:
    """The run directory: the setting `run`, or a name made of the languages that are set or in a `{en,de}` pattern."""
    if config.run is not None:
        return Path(config.run)
    languages = [config.data.source_language, config.data.target_language]
    pattern = _BRACES.search(config.data.train) if isinstance(config.data.train, str) else None
    if pattern is not None and not any(languages):
        languages = [pattern[1].strip(), pattern[2].strip()]
    return Path("runs") / ("-".join(language for language in languages if language) or "default")


def prepared_directory(config: Config, run: Path | None = None) -> Path:
    """The directory of the prepared data: the setting `data.prepared`, or `prepared` in the run directory.

    `run` is where the run directory lies now, if that is known; a run can be moved.
    """
    if config.data.prepared is not None:
        return Path(config.data.prepared)
    return (run or run_directory(config)) / "prepared"
