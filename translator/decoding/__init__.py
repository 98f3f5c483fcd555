"""Searches over a step model, on token ids.

Open `beam_search.py` first. It needs `step_model.py` (what a search knows about a model), `hypothesis.py` (request,
hypothesis, length penalty), `logits.py` (top-k and log-probabilities) and `backpointers.py` (the tokens chosen so far);
`constraints/` matters only for searches with rules. `generate.py` is greedy search, on which `sampling.py` builds.
`engine.py` batches sentences and calls the search that the settings name; `distributed.py` divides its work among
processes. `mbr.py`, `ensemble.py` and `scoring.py` are minimum Bayes risk, ensembles and teacher-forced scores.
"""

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
