"""The model made ready to decode: one step at a time, with what it keeps between steps."""

from translator.inference.cache import Ancestry, DenseMemory, KeyValueCache
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
