"""What each ingredient of a recipe gives, at one equal budget: a table over several seeds, with their spread.

    python scripts/compare_recipes.py configs/NAME.yaml --output DIRECTORY --source TEST.en --reference TEST.de \
        [--recipe NAME=KEY=VALUE,KEY=VALUE ...] [--seeds 2] [KEY=VALUE ...]

Every recipe is trained by `translator train` with the settings that all share and its own. The weights are those that
the run ends with, chosen on its validation set; `last` are those of its last step. All see the same number of target
tokens, which does not mean the same time: that is in the table. A run that exists is not trained again.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from translator.checkpoints import RunDirectory, read_checkpoint
from translator.config import load_config
from translator.evaluation import evaluate
from translator.model import count_parameters
from translator.text import decode_lines, open_input
from translator.training import train
from translator.translation import Translator

RECIPES = {
    "plain": "",
    "average of the last 5": "training.average_last=5,training.keep_last=5",
    "moving average": "training.ema_decay=0.998",
    "R-Drop": "training.r_drop=5",
    "BPE-dropout": "training.subword_sampling=0.1",
    "word dropout": "model.word_dropout=0.1",
    "moving average + R-Drop": "training.ema_decay=0.998,training.r_drop=5",
    "moving average + BPE-dropout": "training.ema_decay=0.998,training.subword_sampling=0.1",
}


def measure(config: Path, shared: list[str], own: str, seed: int, run: Path, test: tuple[list[str], list[str]],
            tokenize: str) -> dict[str, float]:  # fmt: skip
    """Train one recipe with one seed, and score its final weights on the test set."""
    file = run / "compared.json"
    if file.is_file():
        kept: dict[str, float] = json.loads(file.read_text())
        return kept
    words = [*shared, *filter(None, own.split(",")), f"run={run}", f"seed={seed}"]
    if "training.average_last=" not in own:
        words.append("training.average_last=1")
    train(load_config(config, words))
    directory = RunDirectory(run)
    last = read_checkpoint(directory.checkpoint(directory.steps()[-1]), with_optimizer=False).state
    final = read_checkpoint(directory.models / "final", with_optimizer=False).state
    translator = Translator.load(run)
    result = evaluate(translator, *test, translator.settings, metrics=("bleu",), tokenize=tokenize)
    found = {
        "minutes": last["seconds"] / 60.0,
        "tokens": last["target_tokens"],
        "loss": final["loss"],
        "valid": final["bleu"],
        "test": result.scores[0].value,
        "parameters": count_parameters(translator.bundle.model),
    }
    file.write_text(json.dumps({**found, "signature": result.scores[0].signature}) + "\n")
    return found


def show(values: list[float], digits: int) -> str:
    """Return the mean, with half the range if there are several values."""
    mean = f"{statistics.fmean(values):.{digits}f}"
    return f"{mean} ± {(max(values) - min(values)) / 2:.{digits}f}" if len(values) > 1 else mean


def main() -> None:
    """Train, score, and print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="what all recipes share")
    parser.add_argument("--output", type=Path, required=True, help="directory of the runs")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--tokenize", default="13a", help="sacreBLEU's tokenizer on the test set")
    parser.add_argument("--recipe", action="append", metavar="NAME=SETTINGS", help="instead of those of this file")
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_intermixed_args()
    recipes = dict(each.split("=", 1) for each in options.recipe) if options.recipe else RECIPES
    test = tuple(list(decode_lines(open_input(path), str(path))) for path in (options.source, options.reference))
    print(
        "| recipe | minutes | validation loss | BLEU, validation (greedy) | BLEU, test (beam) |\n|---|---|---|---|---|"
    )
    for name, own in recipes.items():
        found: list[dict[str, Any]] = []
        for seed in range(1, options.seeds + 1):
            run = options.output / f"{name.replace(' ', '-')}-{seed}"
            found.append(measure(options.config, options.settings, own, seed, run, test, options.tokenize))  # type: ignore[arg-type]
        digits = {"minutes": 1, "loss": 3, "valid": 2, "test": 2}
        cells = [show([one[key] for one in found], places) for key, places in digits.items()]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
