"""Inside the heads: where each of them looks, what it is worth, and runs without those that are worth little."""

from translator.inspection.maps import AttentionMaps, inspect_sentence

__all__ = ["AttentionMaps", "inspect_sentence"]
