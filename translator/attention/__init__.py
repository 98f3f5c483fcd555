"""Multi-head attention over packed sequences: module, kernels, layout, cache, weights for inspection."""

from translator.attention.cache import Ancestry, DenseMemory, KeyValueCache
from translator.attention.kernels import attend, attention_weights
from translator.attention.layout import Layout, Packed, pack
from translator.attention.module import MultiHeadAttention, Projected

__all__ = [
    "Ancestry",
    "DenseMemory",
    "KeyValueCache",
    "Layout",
    "MultiHeadAttention",
    "Packed",
    "Projected",
    "attend",
    "attention_weights",
    "pack",
]
