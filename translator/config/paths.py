"""Where a run and its prepared data are stored by default."""

from pathlib import Path

from translator.config.corpus_spec import entries_of, named_languages
from translator.config.schema import Config


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
