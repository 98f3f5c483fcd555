"""Decoding: search over a step function, batches of sentences, lines in and lines out."""

from translator.decoding.engine import Engine, NativeEngine, token_batches, translate_ids
from translator.decoding.inputs import translate_inputs
from translator.decoding.lines import LineTranslator
from translator.decoding.penalty import LengthPenalty
from translator.decoding.phrases import BannedText, Surfaces
from translator.decoding.request import Hypothesis, Request
from translator.decoding.rules import Rules
from translator.decoding.sampling import sample_search, seed_of_source
from translator.decoding.search import beam_search, greedy_search
from translator.decoding.settings import read_call_settings, replace_stated, stated_machine
from translator.decoding.steps import Steps, TransformerSteps
from translator.decoding.translation import TranslatedLine, Translation
from translator.decoding.translator import Translator

__all__ = [
    "BannedText",
    "Engine",
    "Hypothesis",
    "LengthPenalty",
    "LineTranslator",
    "NativeEngine",
    "Request",
    "Rules",
    "Steps",
    "Surfaces",
    "TransformerSteps",
    "TranslatedLine",
    "Translation",
    "Translator",
    "beam_search",
    "greedy_search",
    "read_call_settings",
    "replace_stated",
    "sample_search",
    "seed_of_source",
    "stated_machine",
    "token_batches",
    "translate_ids",
    "translate_inputs",
]
