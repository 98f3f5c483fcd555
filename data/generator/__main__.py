"""Write the English-German sample corpus: `python -m data.generator`, from the root of the repository."""

from __future__ import annotations

import argparse
from pathlib import Path

from .corpus import SEED, TRAIN_PAIRS, write_corpus

parser = argparse.ArgumentParser(
    prog="python -m data.generator",
    description="Write the English-German sample corpus: training, validation and test sets, and word alignments.",
    formatter_class=argparse.ArgumentDefaultsHelpFormatter,
)
parser.add_argument("--output", type=Path, default=Path("data"), help="directory to write to")
parser.add_argument("--seed", type=int, default=SEED, help="random seed")
parser.add_argument("--pairs", type=int, default=TRAIN_PAIRS, help="number of training pairs")
arguments = parser.parse_args()
write_corpus(arguments.output, arguments.seed, arguments.pairs)
