"""Decoding: search over a step function, batches of sentences, lines in and lines out."""

from translator.decoding.engine import Engine, NativeEngine, token_batches, translate_ids
from translator.decoding.penalty import LengthPenalty
from translator.decoding.request import Hypothesis, Request
from translator.decoding.search import beam_search, greedy_search
from translator.decoding.settings import read_call_settings, replace_stated, stated_machine
from translator.decoding.steps import Steps, TransformerSteps
from translator.decoding.translate import translate_lines, translate_with
from translator.text import decode_lines, open_input

__all__ = [
    "Engine",
    "Hypothesis",
    "LengthPenalty",
    "NativeEngine",
    "Request",
    "Steps",
    "TransformerSteps",
    "beam_search",
    "decode_lines",
    "greedy_search",
    "open_input",
    "read_call_settings",
    "replace_stated",
    "stated_machine",
    "token_batches",
    "translate_ids",
    "translate_lines",
    "translate_with",
]
