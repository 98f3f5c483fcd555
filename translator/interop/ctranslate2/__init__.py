"""Exports: a trained model in the formats of other programs."""

from translator.interop.ctranslate2.export import cached_ctranslate2, export_ctranslate2

__all__ = ["cached_ctranslate2", "export_ctranslate2"]
