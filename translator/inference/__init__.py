"""The model made ready to decode: one step at a time, with what it keeps between steps.

Start with `InferenceModel.decode` (model.py), the decoding step; `cache.py` and `static_decoder.py` are the two ways to
keep what it needs.
"""

from translator.inference.ancestry import Ancestry
from translator.inference.cache import DenseMemory, KeyValueCache
from translator.inference.cuda_graphs import choose_step_model
from translator.inference.model import DecoderState, InferenceModel
from translator.inference.steps import TransformerStepModel

__all__ = [
    "Ancestry",
    "DecoderState",
    "DenseMemory",
    "InferenceModel",
    "KeyValueCache",
    "TransformerStepModel",
    "choose_step_model",
]
