"""Training text that a model writes: translations of monolingual text, and students that learn from them."""

from translator.synthesis.distill import distill, student_config
from translator.synthesis.lines import CorpusLines, TextLines, lines_of
from translator.synthesis.synthesize import Wanted, synthesize

__all__ = ["CorpusLines", "TextLines", "Wanted", "distill", "lines_of", "student_config", "synthesize"]
