"""Token ids on disk: cleaning, encoding, memory-mapped reading."""

from translator.data.dataset import Gathered, ParallelDataset
from translator.data.given_tokenizers import Begun
from translator.data.mixture import Mixture
from translator.data.prepare import prepare
from translator.data.prepared import PreparedData, load_prepared
from translator.data.report import describe_report, find_prepared, report
from translator.data.write_filtered import write_filtered

__all__ = [
    "Begun",
    "Gathered",
    "Mixture",
    "ParallelDataset",
    "PreparedData",
    "describe_report",
    "find_prepared",
    "load_prepared",
    "prepare",
    "report",
    "write_filtered",
]
