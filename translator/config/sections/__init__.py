"""The sections of the settings, a file for each: every setting with type, default and meaning."""

from translator.config.sections.augmentation import AugmentationSettings
from translator.config.sections.data import Corpora, CorpusEntry, DataSettings
from translator.config.sections.decoding import DecodingSettings
from translator.config.sections.model import ModelSettings
from translator.config.sections.tokenizer import TokenizerSettings
from translator.config.sections.training import TrainingSettings

__all__ = [
    "AugmentationSettings",
    "Corpora",
    "CorpusEntry",
    "DataSettings",
    "DecodingSettings",
    "ModelSettings",
    "TokenizerSettings",
    "TrainingSettings",
]
