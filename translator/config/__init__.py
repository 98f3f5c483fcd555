"""What a run is: typed settings, how they are read, and presets by corpus size."""

from translator.config.load import load_config, read_run_config, write_config
from translator.config.places import prepared_directory, run_directory
from translator.config.presets import PRESETS, resolve_preset, suggest_preset
from translator.config.schema import (
    Config,
    DataSettings,
    DecodingSettings,
    Duration,
    ModelSettings,
    TokenizerSettings,
    TrainingSettings,
)

__all__ = [
    "PRESETS",
    "Config",
    "DataSettings",
    "DecodingSettings",
    "Duration",
    "ModelSettings",
    "TokenizerSettings",
    "TrainingSettings",
    "load_config",
    "prepared_directory",
    "read_run_config",
    "resolve_preset",
    "run_directory",
    "suggest_preset",
    "write_config",
]
