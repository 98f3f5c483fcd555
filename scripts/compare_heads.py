"""One head or many? The paper's Table 3, rows A and B (Vaswani et al. 2017), at a size that a laptop trains.

    python scripts/compare_heads.py configs/NAME.yaml --output DIRECTORY --source TEST.en --reference TEST.de \
        [--seeds 3] [--jobs 2] [--plot FILE] [KEY=VALUE ...]

Row A has 1, 4, 8, 16 and 32 heads at constant width (num_heads * head_dim = d_model), row B narrower heads: 8 of a half
and of a quarter of the width. All else is shared: data (prepared once, in DIRECTORY/prepared), batches, steps and
`SETTINGS`, which KEY=VALUE replace. Every shape is trained from several seeds; the table has means and half the
distance between the extremes. A run that is there already is not trained again, so that the comparison can be stopped
and gone on with. The time of a step is measured afterwards, all shapes taking turns on the same batches: the median of
the ratios to the step with 8 heads.
"""

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

from compare_recipes import measure_all, read_test, show

from translator.config import Config, load_config, prepared_directory
from translator.data import PreparedData, prepare
from translator.runtime.device import choose_machine
from translator.runtime.host_memory import keep_freed_memory
from translator.training.batch_loader import BatchLoader
from translator.training.compilation import choose_order
from translator.training.initial_model import initial_model
from translator.training.progress import Position
from translator.training.state import TrainingState
from translator.training.update import Updater

SETTINGS = [
    "model.encoder_layers=2",
    "model.decoder_layers=2",
    "model.d_model=128",
    "model.norm=pre",
    "model.dropout=0.1",
    "training.batch_tokens=2048",
    "training.learning_rate=5e-3",
    "training.warmup_steps=500",
    "training.max_steps=1600",
    "training.decay_steps=800",
    "training.validate_every=800",
    "training.average_last=1",
]
ROW_A = (1, 4, 8, 16, 32)
ROW_B_HEADS = 8
ROW_B_DIVISORS = (2, 4)
_TURNS = 12
_STEPS = 5

Shape = tuple[str, int, int]
"""Row, heads, width of a head."""


def shapes(d_model: int) -> list[Shape]:
    """Return the rows A and B for a width."""
    row_a = [("A", heads, d_model // heads) for heads in ROW_A]
    return row_a + [("B", ROW_B_HEADS, d_model // ROW_B_HEADS // divisor) for divisor in ROW_B_DIVISORS]


def settings_of(shape: Shape) -> list[str]:
    """Return what a shape sets."""
    return [f"model.num_heads={shape[1]}", f"model.head_dim={shape[2]}"]


def train_all(
    options: argparse.Namespace, settings: list[str], chosen: Sequence[Shape]
) -> dict[Shape, list[dict[str, Any]]]:
    """Train and score every shape from every seed; see `measure_all`."""
    names = {shape: f"{shape[1]}x{shape[2]}" for shape in chosen}
    own = {names[shape]: ",".join(settings_of(shape)) for shape in chosen}
    found = measure_all(options, settings, own, read_test(options))
    return {shape: found[name] for shape, name in names.items()}


def step_ratios(configs: dict[Shape, Config], data: PreparedData) -> dict[Shape, float]:
    """Return the time of a training step of every shape as a ratio to that with 8 heads of the full width."""
    machine = choose_machine(data.config.device, data.config.precision, data.config.threads)
    if machine.device.type == "cpu":
        keep_freed_memory()
    training, tokenizers = choose_order(data.config, machine).training, data.tokenizers
    batches = BatchLoader(
        data, training, int(training.batch_tokens), seed=data.config.seed, max_length=data.config.data.max_length,
        max_positions=data.config.model.max_positions,
    )  # fmt: skip
    group = [batches.load(one) for one in itertools.islice(batches.after(Position()), _STEPS)]
    updates = {}
    for shape, own in configs.items():
        model = initial_model(own.model, tokenizers, own.seed, own.start_from)
        updates[shape] = Updater(TrainingState.initial(model, own.training, machine), own.training, machine)
    seconds: dict[Shape, list[float]] = {shape: [] for shape in configs}
    for _ in range(_TURNS):
        for shape, update in updates.items():
            began = time.perf_counter()
            for batch in group:
                # Asking for a number waits for the device.
                float(update([batch]).smoothed)
            seconds[shape].append(time.perf_counter() - began)
    usual = seconds[next(shape for shape in configs if shape[:2] == ("A", ROW_B_HEADS))]
    # The first turn warms up.
    return {
        shape: statistics.median(own / base for own, base in zip(times[1:], usual[1:], strict=True))
        for shape, times in seconds.items()
    }


def print_table(found: dict[Shape, list[dict[str, Any]]], ratios: dict[Shape, float]) -> None:
    """Print the table in Markdown; the minutes are those of the training, with whatever else ran at the time."""
    print("| row | heads | head_dim | parameters | validation loss | BLEU, validation | BLEU, test | step | minutes |")
    print("|---|---|---|---|---|---|---|---|---|")
    for shape, runs in found.items():
        row, heads, head_dim = shape
        digits = {"loss": 3, "valid": 2, "test": 2, "minutes": 1}
        cells = [show([run[key] for run in runs], places) for key, places in digits.items()]
        cells.insert(3, f"{ratios[shape]:.2f}")
        print(f"| {row} | {heads} | {head_dim} | {int(runs[0]['parameters']):,} | {' | '.join(cells)} |")


def draw(found: dict[Shape, list[dict[str, Any]]], path: Path) -> None:
    """Plot loss and BLEU of every seed and their means: row A over the number of heads, row B over their width."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    wide = next(shape for shape in found if shape[0] == "A" and shape[1] == ROW_B_HEADS)
    series = {
        "heads (width of all constant)": [(shape[1], runs) for shape, runs in found.items() if shape[0] == "A"],
        f"width of a head ({ROW_B_HEADS} heads)": sorted(
            (shape[2], runs) for shape, runs in found.items() if shape[0] == "B" or shape == wide
        ),
    }
    figure, axes = pyplot.subplots(2, 2, figsize=(8, 5.5), layout="constrained", sharey="row", sharex="col")
    for column, (label, points) in enumerate(series.items()):
        for line, (key, name) in enumerate((("loss", "validation loss"), ("test", "BLEU, test"))):
            axis = axes[line][column]
            means = [sum(run[key] for run in runs) / len(runs) for _, runs in points]
            axis.plot([position for position, _ in points], means, color="#0072b2", marker="o")
            for position, runs in points:
                axis.scatter([position] * len(runs), [run[key] for run in runs], color="#d55e00", marker="_", zorder=3)
            axis.set_xscale("log", base=2)
            axis.set_xticks([position for position, _ in points], [str(position) for position, _ in points])
            axis.minorticks_off()
            axis.grid(alpha=0.3)
            if column == 0:
                axis.set_ylabel(name)
        axes[1][column].set_xlabel(label)
    figure.savefig(path)


def main() -> None:
    """Train, score, print the table, and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="what all shapes share")
    parser.add_argument("--output", type=Path, required=True, help="directory of the runs")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--tokenize", default="13a", help="sacreBLEU's tokenizer on the test set")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="trainings at once")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="picture to draw: .svg, .png or .pdf")
    options = parser.parse_intermixed_args()
    usual = [f"data.prepared={options.output / 'prepared'}", *SETTINGS]
    stated = {word.split("=", 1)[0] for word in options.settings}
    settings = [word for word in usual if word.split("=", 1)[0] not in stated] + options.settings
    first = load_config(options.config, [*settings, "run=-"])
    data = prepare(first, prepared_directory(first))
    configs = {
        shape: load_config(options.config, [*settings, "run=-", *settings_of(shape)])
        for shape in shapes(first.model.d_model)
    }
    found = train_all(options, settings, list(configs))
    print_table(found, step_ratios(configs, data))
    if options.plot:
        draw(found, options.plot)


if __name__ == "__main__":
    main()
