"""The settings of a run: their types, how they are read and checked, and presets by the amount of text."""

from translator.config.auto_preset import PresetChoice, choose_preset, suggest_preset
from translator.config.corpus_spec import entries_of, named_languages
from translator.config.fine_tuning import Start, parse_start
from translator.config.guided_alignment import guided_head
from translator.config.heads import KINDS, Head, parse_head
from translator.config.load import complete_config, load_config
from translator.config.overrides import read_call_settings, refuse_decoding, replace_stated, stated_machine
from translator.config.paths import prepared_directory, run_directory
from translator.config.presets import PRESETS, resolve_preset
from translator.config.run_config import dump_config, read_run_config, write_config
from translator.config.schema import Config
from translator.config.sections import (
    AugmentationSettings,
    Corpora,
    CorpusEntry,
    DataSettings,
    DecodingSettings,
    ModelSettings,
    TokenizerSettings,
    TrainingSettings,
)
from translator.config.units import Duration

__all__ = [
    "KINDS",
    "PRESETS",
    "Config",
    "Corpora",
    "CorpusEntry",
    "DataSettings",
    "AugmentationSettings",
    "DecodingSettings",
    "Duration",
    "Head",
    "ModelSettings",
    "PresetChoice",
    "TokenizerSettings",
    "Start",
    "TrainingSettings",
    "choose_preset",
    "complete_config",
    "dump_config",
    "entries_of",
    "guided_head",
    "load_config",
    "named_languages",
    "parse_head",
    "parse_start",
    "prepared_directory",
    "read_call_settings",
    "read_run_config",
    "refuse_decoding",
    "replace_stated",
    "resolve_preset",
    "run_directory",
    "stated_machine",
    "suggest_preset",
    "write_config",
]
