"""Where a run and its prepared data are stored, and whether a file or directory is that of a run."""

import os
from pathlib import Path

from translator.config.corpus_spec import entries_of, named_languages
from translator.config.schema import Config

RUN_CONFIG = "config.yaml"
"""The file of a run directory with the settings of the run."""
RUN_FOLDERS = ("checkpoints", "models", "exports", "hypotheses", "prepared", "tensorboard")
"""Directories that a run may have."""
_IN_RUNS = ("checkpoints", "models", "metrics.jsonl", "tokenizer.model", "tokenizer.source.model")


def run_directory(config: Config) -> Path:
    """Return the run directory: the setting `run`, or `runs/` and the languages that are set or in `{en,de}` patterns.

    It is `runs/default` if no languages are known, or several pairs.
    """
    if config.run is not None:
        return Path(config.run)
    data = config.data
    pairs = {(data.source_language, data.target_language)}
    if pairs == {(None, None)}:
        pairs = {
            (entry.source_language, entry.target_language)
            if entry.source_language
            else (isinstance(entry.path, str) and named_languages(entry.path)) or (None, None)
            for entry in entries_of(data.train)
        }
    languages = pairs.pop() if len(pairs) == 1 else ()
    return Path("runs") / ("-".join(language for language in languages if language) or "default")


def prepared_directory(config: Config, run: Path | None = None) -> Path:
    """Return the directory of the prepared data: the setting `data.prepared`, or `prepared` in the run directory.

    `run` is where the run directory is now, if that is known: it may have been moved.
    """
    if config.data.prepared is not None:
        return Path(config.data.prepared)
    return (run or run_directory(config)) / "prepared"


def named_after(config: Config, path: str | Path | None) -> Config:
    """Return the settings with the run directory that follows from the name of their file, if they state none."""
    if path is None or config.run is not None:
        return config
    name = Path(path).name.removesuffix(".yaml").removesuffix(".yml")
    return config.model_copy(update={"run": f"runs/{name}"})


def is_run_config(path: Path) -> bool:
    """Whether a settings file is that of a run directory: called so, with what a run holds next to it."""
    return own_directory(path) is not None


def own_directory(path: Path) -> Path | None:
    """The run directory that a settings file belongs to, itself or as what a link points to."""
    return next(
        (
            file.parent
            for file in (path, Path(os.path.realpath(path)))
            if file.name == RUN_CONFIG and any((file.parent / name).exists() for name in _IN_RUNS)
        ),
        None,
    )
