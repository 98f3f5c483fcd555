"""Token ids on disk: cleaning, encoding, memory-mapped reading."""

from translator.data.dataset import Gathered, ParallelDataset
from translator.data.prepare import PreparedData, load_prepared, prepare

__all__ = ["Gathered", "ParallelDataset", "PreparedData", "load_prepared", "prepare"]
