"""Searches over a step model, on piece ids: greedy, beam, sampling, minimum Bayes risk, ensembles, scoring."""

from translator.decoding.beam_search import beam_search
from translator.decoding.constraints import BannedText, Rules, TokenBytes
from translator.decoding.engine import Engine, NativeEngine, token_batches, translate_ids
from translator.decoding.generate import greedy_search
from translator.decoding.hypothesis import Hypothesis, LengthPenalty, Request
from translator.decoding.sampling import sample_search, seed_of_source
from translator.decoding.step_model import StepModel

__all__ = [
    "BannedText",
    "Engine",
    "Hypothesis",
    "LengthPenalty",
    "NativeEngine",
    "Request",
    "Rules",
    "StepModel",
    "TokenBytes",
    "beam_search",
    "greedy_search",
    "sample_search",
    "seed_of_source",
    "token_batches",
    "translate_ids",
]
