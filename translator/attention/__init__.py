"""Multi-head attention over packed sequences: module, kernels, layout, weights for inspection."""

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
