"""What a run is: typed settings, how they are read, and presets by corpus size."""

from translator.config.corpora import entries_of, named_languages
from translator.config.heads import KINDS, Head, parse_head
from translator.config.load import complete_config, dump_config, load_config, read_run_config, write_config
from translator.config.places import prepared_directory, run_directory
from translator.config.presets import PRESETS, resolve_preset, suggest_preset
from translator.config.schema import (
    Config,
    Corpora,
    CorpusEntry,
    DataSettings,
    DecodingSettings,
    Duration,
    ModelSettings,
    TokenizerSettings,
    TrainingSettings,
)
from translator.config.start import Start, parse_start

__all__ = [
    "KINDS",
    "PRESETS",
    "Config",
    "Corpora",
    "CorpusEntry",
    "DataSettings",
    "DecodingSettings",
    "Duration",
    "Head",
    "ModelSettings",
    "TokenizerSettings",
    "Start",
    "TrainingSettings",
    "complete_config",
    "dump_config",
    "entries_of",
    "load_config",
    "named_languages",
    "parse_head",
    "parse_start",
    "prepared_directory",
    "read_run_config",
    "resolve_preset",
    "run_directory",
    "suggest_preset",
    "write_config",
]
