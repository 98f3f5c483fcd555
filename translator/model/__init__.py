"""The encoder-decoder Transformer: embeddings, layers, stacks."""

from translator.model.transformer import Transformer, build_model, count_parameters, parameter_shapes

__all__ = [
    "Transformer",
    "build_model",
    "count_parameters",
    "parameter_shapes",
]
