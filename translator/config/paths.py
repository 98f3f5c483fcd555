"""Where a run and its prepared data lie when nothing else is said."""

from pathlib import Path

from translator.config.corpus_spec import entries_of, named_languages
from translator.config.schema import Config


def run_directory(config: Config) -> Path:
    """The run directory: the setting `run`, or a name made of the languages that are set or in `{en,de}` patterns.

    Corpora of several language pairs make no name.
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
    """The directory of the prepared data: the setting `data.prepared`, or `prepared` in the run directory.

    `run` is where the run directory lies now, if that is known; a run can be moved.
    """
    if config.data.prepared is not None:
        return Path(config.data.prepared)
    return (run or run_directory(config)) / "prepared"
