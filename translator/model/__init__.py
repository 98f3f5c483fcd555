"""The encoder-decoder Transformer: embeddings, layers, stacks and the state of step-by-step decoding."""

from translator.model.transformer import DecoderState, Transformer, build_model, count_parameters

__all__ = ["DecoderState", "Transformer", "build_model", "count_parameters"]
