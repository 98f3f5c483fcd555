"""Compares runs with their exports: one row of a table for each run, in Markdown.

    python scripts/check_exports.py RUN ... --source data/test.en --reference data/test.de [--lines 1000]
    python scripts/check_exports.py --shapes post-tags pre-tied --directory RUNS --source ... --reference ...

`--shapes` trains small runs of these shapes in `--directory` first, unless they are there (see export_shapes.py; `all`
means every shape).

Columns: the model's class in transformers; the largest difference of a logit on the first 200 pairs; lines with the
same piece ids; lines with the same translation by piece ids: greedily, and with beam 5 and the penalty n ** 0.6, which
both have, when transformers searches until nothing better can come (`early_stopping="never"`), as we do, and when it
stops by its default rule; with beam 5, the run's own penalty and that rule; the largest difference of CTranslate2's
log-probability of a piece. With ARGOS_PYTHON, the Python of an environment with argostranslate, also lines of the first
100 that Argos Translate translates as CTranslate2 does with its settings. A dash: the export refuses such a run.

For every other translation, greedily or when both search to the end, stderr says how far the two are apart under our
model, in nats: below 1e-4 that is a tie, which rounding decides.

Needs the extra bench. A run with tags translates into its first language. Exits with 1 if anything differs but ties and
what the default rule and the run's own penalty explain.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from export_checks import LibraryCheck, TransformersCheck
from export_shapes import SHAPES, trained

from translator.checkpoints import load_bundle


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    parser.add_argument("--shapes", nargs="+", default=[], choices=["all", *SHAPES], metavar="SHAPE")
    parser.add_argument("--directory", type=Path, default=Path("runs/shapes"), help="of the runs of --shapes")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=1000)
    options = parser.parse_args()
    shapes = SHAPES if "all" in options.shapes else options.shapes
    runs = [*options.runs, *(trained(shape, options.directory.absolute()) for shape in shapes)]
    texts, references = (
        path.read_text(encoding="utf-8").splitlines()[: options.lines] for path in (options.source, options.reference)
    )
    print("| run | class | logits | pieces | greedy | beam 5 | default rule | own penalty | CTranslate2 | Argos |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    is_equal = True
    for run in runs:
        bundle = load_bundle(run, device="cpu")
        with tempfile.TemporaryDirectory(prefix="translator-") as directory:
            rows = [
                kind(bundle, Path(directory), texts, references).row() for kind in (TransformersCheck, LibraryCheck)
            ]
        print(f"| {' | '.join([run.name, *rows[0].cells, *rows[1].cells])} |", flush=True)
        is_equal &= all(row.is_equal for row in rows)
    return 0 if is_equal else 1


if __name__ == "__main__":
    sys.exit(main())
