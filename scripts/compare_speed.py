"""How fast runs translate, next to each other: `python scripts/compare_speed.py --source FILE RUN RUN:int8 ...`

All runs take turns on the same lines in one process, so that what else the machine does hits them alike. Prints the
median time of each, and the median of its ratios to the first run's time in the same turn, greedily and with a beam;
the same for CPU time, which waits for no other process. Loading is not on the clock. `RUN:int8` is the run with
`quantize=int8`, `RUN:shortlist` that with `shortlist=true`, and `RUN:int8+shortlist` both. Says nothing about quality:
`translator evaluate` does.
"""

import argparse
import re
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from scripts.machine import machine_facts
from translator.model import count_parameters
from translator.text import decode_lines, open_input
from translator.translation import Translator

_WAYS = re.compile(r"(.+):((?:int8|shortlist)(?:\+(?:int8|shortlist))?)")


def main() -> None:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN[:int8][+shortlist]")
    parser.add_argument("--source", type=Path, required=True, help="lines to translate")
    parser.add_argument("--beam", type=int, nargs="+", default=[1, 5], help="beam sizes; 1 is greedy")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    lines = list(decode_lines(open_input(options.source), str(options.source)))
    named = {run: _WAYS.fullmatch(run) for run in options.runs}
    ways = {run: (found[2] or "").split("+") if found else [] for run, found in named.items()}
    settings: dict[str, Any] = {
        run: {"quantize": "int8" if "int8" in own else "none", "shortlist": "shortlist" in own}
        for run, own in ways.items()
    }
    translators = {
        run: Translator.load(found[1] if found else run, threads=options.threads) for run, found in named.items()
    }
    facts = machine_facts(torch.get_num_threads(), ["torch"])
    print(f"{len(lines):,} lines of {options.source.name}; {options.turns} turns; {facts}\n")
    print("| run | parameters | beam | seconds | ratio to the first | CPU seconds | ratio |\n" + 7 * "|---" + "|")
    for beam in options.beam:
        seconds: dict[str, list[tuple[float, float]]] = {run: [] for run in options.runs}
        for turn in range(options.turns + 1):
            for run, translator in translators.items():
                began, cpu_began = time.perf_counter(), time.process_time()
                for _ in translator.translate(lines, beam_size=beam, **settings[run]):
                    pass
                if turn:  # the first warms up
                    seconds[run].append((time.perf_counter() - began, time.process_time() - cpu_began))
        first = seconds[options.runs[0]]
        for run, own in seconds.items():
            parameters = count_parameters(translators[run].bundle.model)
            cells = [Path(run).name, f"{parameters:,}", str(beam)]
            for mine, base in zip(zip(*own, strict=True), zip(*first, strict=True), strict=True):
                ratio = statistics.median(time / other for time, other in zip(mine, base, strict=True))
                cells += [f"{statistics.median(mine):.2f}", f"{ratio:.3f}"]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
