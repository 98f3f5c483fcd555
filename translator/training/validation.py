"""How good the model is now: loss over the validation set, and BLEU by really decoding."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from translator.config import Config
from translator.config.decoding_rules import validation_decoding
from translator.data.batches import MARK, Budget, Marks, make_batch, split_by_budget
from translator.data.dataset import ParallelDataset
from translator.decoding import translate_ids
from translator.distributed.world import World
from translator.evaluation import Score, score
from translator.inference import TransformerStepModel
from translator.model import Transformer
from translator.runtime.console import say
from translator.runtime.device import Machine
from translator.text import TokenizerPair
from translator.training.loss import smoothed_cross_entropy


@dataclass(frozen=True)
class Validation:
    """Figures of one validation."""

    loss: float
    """Label-smoothed cross-entropy, nats a target token."""
    nll: float
    """Negative log-likelihood, nats a target token."""
    scores: list[Score]
    """BLEU and chrF2 of the decoded sentences."""
    samples: list[tuple[str, str, str]]
    """Source, reference and translation of some sentences, for people."""
    sources: list[str]
    references: list[str]
    translations: list[str]
    """Of all sentences that were decoded."""

    @property
    def bleu(self) -> float:
        """The BLEU score."""
        return self.scores[0].value


class Validator:
    """Validates a model on one data set; pairs beyond the model's length count neither in loss nor in BLEU."""

    def __init__(
        self, config: Config, dataset: ParallelDataset, tokenizers: TokenizerPair, machine: Machine,
        world: World | None = None,
    ) -> None:  # fmt: skip
        self.config, self.dataset, self.tokenizers, self.machine = config, dataset, tokenizers, machine
        self.world = world or World()
        longest = np.maximum(dataset.source_lengths, dataset.target_lengths)
        self.usable = np.flatnonzero(longest + MARK <= config.model.max_positions)
        count = min(config.training.validation_sentences, len(self.usable))
        self.decoded = self.usable[np.linspace(0, len(self.usable) - 1, count).astype(np.int64)]

    def __call__(self, model: Transformer) -> Validation:
        """Validate `model`, which is left in evaluation mode; the processes share the work and all get the result."""
        model.eval()
        with torch.inference_mode():
            loss, nll = self._loss(model)
            translations = self.world.divide(self.decoded.tolist(), lambda part: self._translate(model, part))
        sources, references = self.dataset.texts(self.decoded)
        training = self.config.training
        scores = score(translations, references, ("bleu", "chrf"), tokenize=training.validation_tokenizer)
        shown = np.linspace(0, len(sources) - 1, min(training.validation_samples, len(sources))).astype(int)
        samples = [(sources[place], references[place], translations[place]) for place in shown]
        return Validation(loss, nll, scores, samples, sources, references, translations)

    def _loss(self, model: Transformer) -> tuple[float, float]:
        marks, device = Marks.of(self.tokenizers), self.machine.device
        by_length = self.usable[np.argsort(self.dataset.target_lengths[self.usable], kind="stable")]
        budget = Budget(int(self.config.training.batch_tokens))
        smoothing = self.config.training.label_smoothing
        smoothed, nll, tokens = 0.0, 0.0, 0.0
        batches = list(split_by_budget(self.dataset, by_length, budget))
        for indices in batches[self.world.rank :: self.world.size]:
            batch = make_batch(self.dataset, indices, marks).to(device)
            with self.machine.autocast():
                states = model(batch.source, batch.target)
            sums = smoothed_cross_entropy(states.float(), model.output_weight, batch.labels, smoothing)
            smoothed += float(sums.smoothed)
            nll += float(sums.nll)
            tokens += batch.target_tokens
        smoothed, nll, tokens = self.world.sum([smoothed, nll, tokens])
        return smoothed / tokens, nll / tokens

    def _translate(self, model: Transformer, indices: Sequence[int]) -> list[str]:
        target = self.tokenizers.target
        steps = TransformerStepModel(
            model, bos_id=target.bos_id, eos_id=target.eos_id,
            max_length=self.config.model.max_positions - 1, machine=self.machine,
        )  # fmt: skip
        settings = validation_decoding(self.config.decoding, self.config.training)
        sources = [self.dataset.source(index).tolist() for index in indices]
        return [target.decode(ids) for ids in translate_ids(steps, sources, settings)]


def describe(result: Validation) -> dict[str, Any]:
    """A validation as values for JSON, every score with its signature."""
    return {
        "loss": result.loss,
        "nll": result.nll,
        "scores": [{"name": s.name, "value": s.value, "signature": s.signature} for s in result.scores],
        "samples": [dict(zip(("source", "reference", "translation"), s, strict=True)) for s in result.samples],
    }


def report_validation(title: str, result: Validation) -> None:
    """Print a validation for a person."""
    scores = ", ".join(f"{s.name} {s.value:.2f}" for s in result.scores)
    say(f"{title}: validation loss {result.loss:.3f}, {scores}  ({result.scores[0].signature})")
    for source, reference, translation in result.samples:
        say(f"    source       {source}\n    reference    {reference}\n    translation  {translation}")
