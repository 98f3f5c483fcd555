"""Whether training is as fast with the inspector in the process as without it: `python scripts/bench_inspection.py`.

Two processes train the tiny preset on the same made-up batches and take turns; one has imported `translator.inspection`
and looked at every head once before. Prints the median of the ratios of their times in a turn: 1 is no difference.
"""

import argparse
import multiprocessing
import statistics
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch

from scripts.machine import machine_facts
from translator.attention import pack
from translator.config import Config, resolve_preset
from translator.data.batches import Batch
from translator.model import build_model
from translator.runtime.device import choose_machine
from translator.runtime.host_memory import keep_freed_memory
from translator.training.state import TrainingState
from translator.training.update import Updater

_VOCABULARY = 8000


def train(pipe: Connection, inspected: bool, threads: int, steps: int) -> None:
    """Train for `steps` whenever asked, and answer with the seconds that it took."""
    machine = choose_machine("cpu", "fp32", threads)
    keep_freed_memory()
    config = resolve_preset(Config(preset="tiny"))
    model = build_model(config.model, _VOCABULARY, _VOCABULARY, seed=1)
    if inspected:
        from translator.inspection.capture import recorded_weights

        with recorded_weights(model) as seen, torch.no_grad():
            model(pack([[5, 6, 7]]), pack([[1, 5]]))
        assert all(len(layers) == 4 for layers in seen.values())
    update = Updater(TrainingState.initial(model.train(), config.training, machine), config.training, machine)
    batch = _batch(int(config.training.batch_tokens))
    while pipe.recv():
        began = time.perf_counter()
        for _ in range(steps):
            float(update([batch]).smoothed)
        pipe.send(time.perf_counter() - began)


def _batch(tokens: int) -> Batch:
    random = torch.Generator().manual_seed(1)
    lengths = torch.randint(6, 26, (tokens // 16,), generator=random).tolist()
    sentences = [torch.randint(4, _VOCABULARY, (length,), generator=random).tolist() for length in lengths]
    target = pack([[1, *sentence] for sentence in sentences])
    labels = pack([[*sentence, 2] for sentence in sentences]).tokens
    return Batch(np.arange(len(sentences)), pack(sentences), target, labels)


def main() -> None:
    """Let both take turns, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--steps", type=int, default=4, help="steps of a turn")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    pipes = []
    for inspected in (False, True):
        ours, theirs = context.Pipe()
        context.Process(target=train, args=(theirs, inspected, options.threads, options.steps), daemon=True).start()
        pipes.append(ours)
    seconds: list[list[float]] = [[], []]
    for turn in range(options.turns + 1):
        # Who begins changes from turn to turn.
        for index in (0, 1) if turn % 2 else (1, 0):
            pipes[index].send(True)
            seconds[index].append(pipes[index].recv())
    for pipe in pipes:
        pipe.send(False)
    # The first turn warms up.
    ratios = sorted(after / before for before, after in zip(*(own[1:] for own in seconds), strict=True))
    print(machine_facts(options.threads, ["torch"]))
    print(
        f"seconds of a step: {statistics.median(seconds[0][1:]) / options.steps:.3f} without the inspector, "
        f"{statistics.median(seconds[1][1:]) / options.steps:.3f} with it; ratio {statistics.median(ratios):.3f} "
        f"(quartiles {ratios[len(ratios) // 4]:.3f} to {ratios[-1 - len(ratios) // 4]:.3f})"
    )


if __name__ == "__main__":
    main()
