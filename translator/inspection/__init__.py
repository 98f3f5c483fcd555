"""Inspection of attention heads: where each head looks, how important it is, and pruning of unimportant heads.

Open `maps.py` first: the attention maps of one sentence pair. `report.py` measures all heads on a test set, and
`prune.py` writes a run without some of them.
"""

from translator.inspection.importance import Importance, measure_importance, without_heads
from translator.inspection.maps import AttentionMaps, inspect_sentence
from translator.inspection.pairs import Pairs, read_pairs
from translator.inspection.prune import Choice, choose_heads, prune_run
from translator.inspection.report import HeadReport, ModelReport, inspect_heads

__all__ = [
    "AttentionMaps",
    "Choice",
    "HeadReport",
    "Importance",
    "ModelReport",
    "Pairs",
    "choose_heads",
    "inspect_heads",
    "inspect_sentence",
    "measure_importance",
    "prune_run",
    "read_pairs",
    "without_heads",
]
