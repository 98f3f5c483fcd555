"""What each ingredient of a recipe gives at one equal budget: a table over several seeds, with spread and significance.

    python scripts/compare_recipes.py [configs/NAME.yaml] --output DIRECTORY --source TEST.en --reference TEST.de \
        --recipe NAME=KEY=VALUE,KEY=VALUE ... [--seeds 2] [--jobs 2] [KEY=VALUE ...]

Every recipe is trained by `translator train` with the settings that all share and its own; without a config file,
`--recipe default=` is what a user without a config gets. The weights are those that the run ends with, chosen on its
validation set. All see as many target tokens as their settings say, which does not mean the same time: that is in the
table. Every recipe is tested against the first one with the same seed, by paired bootstrap resampling of BLEU.

A run that exists is not trained again, so that a comparison can be interrupted, and continued with more recipes.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from translator.checkpoints import RunDirectory, read_checkpoint
from translator.config import load_config
from translator.evaluation import System, compare, evaluate
from translator.model import count_parameters
from translator.text import decode_lines, open_input
from translator.training import train
from translator.translation import Translator

COLUMNS = {
    "minutes": ("minutes", 1),
    "loss": ("validation loss", 3),
    "valid": ("BLEU, validation (greedy)", 2),
    "test": ("BLEU, test (beam)", 2),
    "chrf": ("chrF2, test", 2),
}
"""Name in the file of a run, heading and digits."""

TestLines = tuple[list[str], list[str]]


def read_test(options: argparse.Namespace) -> TestLines:
    """Read the test set, source and reference."""
    source, reference = (
        list(decode_lines(open_input(path), str(path))) for path in (options.source, options.reference)
    )
    return source, reference


def measure(config: Path | None, shared: list[str], own: str, seed: int, run: Path, test: TestLines,
            tokenize: str) -> dict[str, Any]:  # fmt: skip
    """Train one recipe with one seed, and score its final weights on the test set."""
    file = run / "compared.json"
    if file.is_file():
        kept: dict[str, Any] = json.loads(file.read_text())
        return kept
    words = [*shared, *filter(None, own.split(",")), f"run={run}", f"seed={seed}"]
    train(load_config(config, words))
    directory = RunDirectory(run)
    last = read_checkpoint(directory.checkpoint(directory.steps()[-1]), with_optimizer=False).state
    final = read_checkpoint(directory.models / "final", with_optimizer=False).state
    translator = Translator.load(run)
    result = evaluate(translator, *test, translator.settings, metrics=("bleu", "chrf"), tokenize=tokenize)
    bleu, chrf = result.scores
    found = {
        "minutes": last["seconds"] / 60.0,
        "tokens": last["target_tokens"],
        "loss": final["loss"],
        "valid": final["bleu"],
        "test": bleu.value,
        "chrf": chrf.value,
        "parameters": count_parameters(translator.bundle.model),
        "signatures": [bleu.signature, chrf.signature],
        "translations": result.hypotheses,
    }
    file.write_text(json.dumps(found) + "\n")
    return found


def show(values: list[float], digits: int) -> str:
    """Return the mean, with half the range if there are several values."""
    mean = f"{statistics.fmean(values):.{digits}f}"
    return f"{mean} ± {(max(values) - min(values)) / 2:.{digits}f}" if len(values) > 1 else mean


def p_values(found: dict[str, list[dict[str, Any]]], references: list[str], tokenize: str) -> dict[str, list[float]]:
    """Return the p-values of BLEU of every recipe, one for each seed, against the first recipe; none for the first."""
    values: dict[str, list[float]] = {name: [] for name in found}
    for runs in zip(*found.values(), strict=True):
        systems = [System(name, run["translations"]) for name, run in zip(found, runs, strict=True)]
        if len(systems) > 1:
            comparison = compare(systems, references, tokenize=tokenize, trials=1)
            for name, figures in zip(list(found)[1:], comparison.figures[1:], strict=True):
                values[name] += [
                    figure.bootstrap for figure in figures if figure.metric == "BLEU" and figure.bootstrap is not None
                ]
    return values


def print_table(found: dict[str, list[dict[str, Any]]], chances: dict[str, list[float]]) -> None:
    """Print the table in Markdown, and the signatures of its scores."""
    headings = ["recipe", "parameters", *(heading for heading, _ in COLUMNS.values()), "p of each seed"]
    print(f"| {' | '.join(headings)} |\n|{'---|' * len(headings)}")
    for name, runs in found.items():
        cells = [name, f"{runs[0]['parameters']:,}"]
        cells += [show([run[key] for run in runs], digits) for key, (_, digits) in COLUMNS.items()]
        print(f"| {' | '.join([*cells, ', '.join(f'{value:.3f}' for value in chances[name])])} |", flush=True)
    signatures = sorted({signature for runs in found.values() for run in runs for signature in run["signatures"]})
    print("\n" + "\n".join(signatures))


def measure_all(options: argparse.Namespace, settings: list[str], recipes: dict[str, str],
                test: TestLines) -> dict[str, list[dict[str, Any]]]:  # fmt: skip
    """Train and score every recipe with every seed, all recipes of a seed before the next seed."""
    tasks = [
        (
            options.config,
            settings,
            own,
            seed,
            options.output / f"{name.replace(' ', '-')}-{seed}",
            test,
            options.tokenize,
        )
        for seed in range(1, options.seeds + 1)
        for name, own in recipes.items()
    ]
    # A process of its own for each, so that none is slower for what others left in memory.
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        results = list(pool.map(measure, *zip(*tasks, strict=True)))
    return {name: results[index :: len(recipes)] for index, name in enumerate(recipes)}


def main() -> None:
    """Train, score, and print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="[CONFIG] KEY=VALUE", help="what all recipes share")
    parser.add_argument("--output", type=Path, required=True, help="directory of the runs")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--tokenize", default="13a", help="sacreBLEU's tokenizer on the test set")
    parser.add_argument(
        "--recipe", action="append", required=True, metavar="NAME=SETTINGS", help="one of those compared"
    )
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    options = parser.parse_intermixed_args()
    has_config = bool(options.words) and "=" not in options.words[0]
    options.config = Path(options.words[0]) if has_config else None
    recipes = dict(each.split("=", 1) for each in options.recipe)
    test = read_test(options)
    found = measure_all(options, options.words[has_config:], recipes, test)
    print_table(found, p_values(found, test[1], options.tokenize))


if __name__ == "__main__":
    main()
