"""How fast runs translate, next to each other: `python scripts/compare_speed.py --source FILE RUN RUN ...`

All runs take turns on the same lines in one process, so that what else the machine does hits them alike. Prints the
median time of each, and the median of its ratios to the first run's time in the same turn, greedily and with a beam.
Loading is not on the clock. Says nothing about quality: `translator evaluate` does.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from scripts.machine import machine_facts
from translator.model import count_parameters
from translator.text import decode_lines, open_input
from translator.translation import Translator


def main() -> None:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--source", type=Path, required=True, help="lines to translate")
    parser.add_argument("--beam", type=int, nargs="+", default=[1, 5], help="beam sizes; 1 is greedy")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    lines = list(decode_lines(open_input(options.source), str(options.source)))
    translators = {run: Translator.load(run, threads=options.threads) for run in options.runs}
    facts = machine_facts(torch.get_num_threads(), ["torch"])
    print(f"{len(lines):,} lines of {options.source.name}; {options.turns} turns; {facts}\n")
    print("| run | parameters | beam | seconds | ratio to the first |\n|---|---|---|---|---|")
    for beam in options.beam:
        seconds: dict[Path, list[float]] = {run: [] for run in options.runs}
        for turn in range(options.turns + 1):
            for run, translator in translators.items():
                began = time.perf_counter()
                for _ in translator.translate(lines, beam_size=beam):
                    pass
                if turn:  # the first warms up
                    seconds[run].append(time.perf_counter() - began)
        first = seconds[options.runs[0]]
        for run, own in seconds.items():
            ratio = statistics.median(mine / base for mine, base in zip(own, first, strict=True))
            parameters = count_parameters(translators[run].bundle.model)
            print(f"| {run.name} | {parameters:,} | {beam} | {statistics.median(own):.2f} | {ratio:.3f} |", flush=True)


if __name__ == "__main__":
    main()
