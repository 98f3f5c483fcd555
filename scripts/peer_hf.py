"""Hugging Face's model as a contender of compare_peers.py: a plain training loop, and its translations.

    python scripts/peer_hf.py train|translate KEY=VALUE ... --folder DIR

The settings are those of `translator train`; `data.prepared` has the data. Batches, first weights, label smoothing and
learning rates are ours. `train` runs until SIGTERM or `training.max_steps`; after every epoch it translates the
validation sentences greedily and keeps the weights with the best BLEU. `translate` does so once more with the last
weights, and takes the better.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.bench_train import VARIANTS, HFStep, Task
from scripts.peers import read_lines
from scripts.translation_systems import HuggingFace
from scripts.translation_systems import Task as TranslationTask
from translator.config import Config, complete_config, load_config
from translator.data import PreparedData, load_prepared
from translator.data.batch_plan import Budget, plan_epoch
from translator.data.batches import SpecialTokens
from translator.evaluation import choose_tokenizer, score
from translator.runtime.seeding import seed_step
from translator.training.optimizer import set_learning_rate
from translator.training.progress import Progress
from translator.training.schedule import learning_rate
from translator.training.signals import Interruption

LAST, BEST = "last", "best"


class Search:
    """Translates with the weights in a folder, or with a model that is still being trained."""

    def __init__(self, data: PreparedData, config: Config, weights: Path) -> None:
        decoding = config.decoding
        # Batches of 32 sentences, which was the fastest or nearly so in every run of bench_translate.py.
        setting = {"batch": 32, "attention": "sdpa", "workers": 1}
        task = TranslationTask(
            data.directory, None, weights, Path(), torch.get_num_threads(),
            1.0, decoding.max_length_factor, decoding.max_length_extra,
        )  # fmt: skip
        self.system = HuggingFace(task, setting)
        # Those that `translator train` decodes.
        count = min(config.training.validation_sentences, len(data.valid))
        self.sources, self.references = data.valid.texts(np.linspace(0, len(data.valid) - 1, count).astype(np.int64))
        self.tokenizer = choose_tokenizer("auto", config.data.target_language, self.references)[0]

    def validate(self, model: Any | None = None) -> float:
        """BLEU of greedy translations of the validation sentences, by `model` or by the weights in the folder."""
        if model is not None:
            self.system.model = model.eval()
        found = self.system.translate(self.sources, 1)
        return score(found, self.references, ("bleu",), tokenize=self.tokenizer)[0].value


def batches(data: PreparedData, config: Config) -> Iterator[tuple[np.ndarray, int]]:
    """Return the batches of one epoch after another, each with the number of epochs that are complete after it."""
    for epoch in itertools.count():
        planned = plan_epoch(data.train, Budget(int(config.training.batch_tokens)), "bucketed", config.seed, epoch)
        for left, indices in zip(reversed(range(len(planned))), planned, strict=True):
            yield indices, epoch if left else epoch + 1


def train(data: PreparedData, config: Config, variant: str, folder: Path) -> None:
    """Train until a signal comes or the steps are done; write the last weights, the best, and `state.json`."""
    settings, special_tokens = config.training, SpecialTokens.of(data.tokenizers)
    vocabulary, threads = data.tokenizers.target.vocab_size, torch.get_num_threads()
    task = Task(config.preset, config, vocabulary, special_tokens, data.directory, threads, "fp32")
    loop = HFStep(task, data.train, VARIANTS[variant])
    loop.model.save_pretrained(folder / LAST)
    search, progress = Search(data, config, folder / LAST), Progress()
    with Interruption() as interruption:
        for indices, epochs in batches(data, config):
            seed_step(config.seed, progress.step)
            progress.step += 1
            set_learning_rate(loop.optimizer, learning_rate(settings, progress.step, config.model.d_model))
            progress.target_tokens += loop.step(indices)
            before, progress.epoch = progress.epoch, epochs
            if progress.is_due(settings.validate_every, before):
                bleu = search.validate(loop.model)
                if bleu > max((each["bleu"] for each in progress.history), default=-1.0):
                    loop.model.save_pretrained(folder / BEST)
                progress.history.append({"step": progress.step, "bleu": bleu})
                print(f"step {progress.step:,}, epoch {epochs}: BLEU {bleu:.2f}", flush=True)
            if interruption.signal is not None or progress.has_ended(settings):
                break
        loop.model.save_pretrained(folder / LAST)
        (folder / "state.json").write_text(json.dumps(progress.to_state()) + "\n", encoding="utf-8")


def translate(data: PreparedData, config: Config, folder: Path, source: Path, output: Path, beam: int) -> None:
    """Choose the last or the best weights on the validation set, write `chosen.json`, and translate a file."""
    progress = Progress.from_state(json.loads((folder / "state.json").read_text(encoding="utf-8")))
    search = Search(data, config, folder / LAST)
    chosen, bleu = progress.step, search.validate()
    best = max(progress.history, key=lambda each: float(each["bleu"]), default=None)
    if best is not None and best["bleu"] >= bleu:
        chosen, bleu = best["step"], best["bleu"]
        search = Search(data, config, folder / BEST)
    state = {
        "steps": progress.step, "target_tokens": progress.target_tokens, "validations": len(progress.history),
        "weights": f"step {chosen}", "valid_bleu": bleu,
    }  # fmt: skip
    (folder / "chosen.json").write_text(json.dumps(state) + "\n", encoding="utf-8")
    output.write_text("".join(f"{line}\n" for line in search.system.translate(read_lines(source), beam)), "utf-8")


def main() -> None:
    """Train or translate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "translate"))
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--variant", choices=list(VARIANTS), default=next(iter(VARIANTS)))
    parser.add_argument("--source", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--beam", type=int, default=5)
    options = parser.parse_intermixed_args()
    config = complete_config(load_config(overrides=options.settings))
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    data = load_prepared(str(config.data.prepared), config)
    if options.what == "train":
        train(data, data.config, options.variant, options.folder)
    else:
        translate(data, data.config, options.folder, options.source, options.output, options.beam)


if __name__ == "__main__":
    main()
