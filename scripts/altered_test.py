"""Writes a test set altered in one way: what `augmentation` does to training text, done to every line.

    python scripts/altered_test.py upper_case SOURCE REFERENCE OUTPUT.en OUTPUT.de [--seed 1]

Models are compared on such text with and without `augmentation` (RESULTS.md). Typing errors are in the source alone.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from translator.config import AugmentationSettings
from translator.data.augmentation import Augmenter
from translator.text import read_lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("alteration", choices=AugmentationSettings.model_fields)
    for name in ("source", "reference", "source_output", "reference_output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    # A probability is below 1; as good as all lines are altered.
    augmenter = Augmenter(AugmentationSettings(**{arguments.alteration: 1.0 - 1e-9}))
    texts = augmenter.alter(list(read_lines(arguments.source)), list(read_lines(arguments.reference)), arguments.seed)
    for path, lines in zip((arguments.source_output, arguments.reference_output), texts, strict=True):
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
