"""Multi-head attention over packed batches: module, kernels, layout, weights for inspection. README.md explains it."""

from translator.attention.dropout import Dropout
from translator.attention.kernels import attend, attention_weights
from translator.attention.layout import Layout, Packed, pack
from translator.attention.module import MultiHeadAttention, Projected

__all__ = [
    "Dropout",
    "Layout",
    "MultiHeadAttention",
    "Packed",
    "Projected",
    "attend",
    "attention_weights",
    "pack",
]
