"""The encoder-decoder Transformer: embeddings, layers, stacks, and what translates with them step by step."""

from translator.model.inference import DecoderState, InferenceModel
from translator.model.transformer import Transformer, build_model, count_parameters

__all__ = ["DecoderState", "InferenceModel", "Transformer", "build_model", "count_parameters"]
