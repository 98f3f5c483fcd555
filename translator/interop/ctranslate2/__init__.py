"""CTranslate2: a trained run in the format of that library, and the engine that translates with it."""

from translator.interop.ctranslate2.cache import cached_ctranslate2
from translator.interop.ctranslate2.export import export_ctranslate2
from translator.interop.ctranslate2.readme import usage

__all__ = ["cached_ctranslate2", "export_ctranslate2", "usage"]
