"""Lines and files in, translated lines out."""

from translator.translation.constrained_line import ConstrainedLine
from translator.translation.glossary import Glossary
from translator.translation.line_translator import LineTranslator
from translator.translation.result import TranslatedLine, Translation
from translator.translation.translate_files import translate_inputs
from translator.translation.translator import Translator

__all__ = [
    "ConstrainedLine",
    "Glossary",
    "LineTranslator",
    "TranslatedLine",
    "Translation",
    "Translator",
    "translate_inputs",
]
