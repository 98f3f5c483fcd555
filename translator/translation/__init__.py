"""Lines and files in, translated lines out."""

from translator.translation.line_translator import LineTranslator
from translator.translation.result import TranslatedLine, Translation
from translator.translation.translate_files import translate_inputs
from translator.translation.translator import Translator

__all__ = [
    "LineTranslator",
    "TranslatedLine",
    "Translation",
    "Translator",
    "translate_inputs",
]
