"""How good a model is: its loss over the validation set, and BLEU and chrF2 of what it translates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from translator.config import DecodingSettings, TrainingSettings
from translator.config.decoding_rules import validation_decoding
from translator.data.batch_plan import ADDED_TOKENS, Budget, split_by_budget
from translator.data.batches import SpecialTokens, make_batch
from translator.data.dataset import ParallelDataset
from translator.decoding import translate_ids
from translator.distributed.world import World
from translator.errors import DataError
from translator.evaluation import Score, choose_tokenizer, score
from translator.inference import TransformerStepModel
from translator.model import Transformer
from translator.runtime.console import say
from translator.runtime.counted import counted
from translator.runtime.device import Machine
from translator.runtime.halving import Halving
from translator.text import TokenizerPair
from translator.training.loss import batch_loss


@dataclass(frozen=True)
class Validation:
    """The result of one validation."""

    loss: float
    """Label-smoothed cross-entropy, in nats per target token."""
    nll: float
    """Negative log-likelihood, in nats per target token."""
    scores: list[Score]
    """BLEU and chrF2 of the decoded sentences."""
    samples: list[tuple[str, str, str]]
    """Source, reference and translation of some sentences, for people."""
    sources: list[str]
    references: list[str]
    translations: list[str]
    """Of all sentences that were decoded."""
    tokenizer: str
    """The tokenizer of BLEU."""

    def figures(self) -> dict[str, Any]:
        """Return what validations are compared by; see `translator.checkpoints.best_first`."""
        bleu, chrf = self.scores
        return {"loss": self.loss, "bleu": bleu.value, "chrf": chrf.value, "tokenizer": self.tokenizer}

    def as_values(self) -> dict[str, Any]:
        """Return the result as values for JSON, every score with its signature."""
        return {
            "loss": self.loss,
            "nll": self.nll,
            "scores": [{"name": s.name, "value": s.value, "signature": s.signature} for s in self.scores],
            "samples": [dict(zip(("source", "reference", "translation"), s, strict=True)) for s in self.samples],
        }

    def report(self, title: str) -> None:
        """Print the result for a person."""
        scores = ", ".join(f"{s.name} {s.value:.2f}" for s in self.scores)
        say(f"{title}: validation loss {self.loss:.3f}, {scores}  ({self.scores[0].signature})")
        for source, reference, translation in self.samples:
            say(f"    source       {source}\n    reference    {reference}\n    translation  {translation}")


class Validator:
    """Validates models on one data set; pairs longer than `max_positions` count neither in the loss nor in BLEU."""

    def __init__(
        self, dataset: ParallelDataset, tokenizers: TokenizerPair, settings: TrainingSettings,
        decoding: DecodingSettings, max_positions: int, machine: Machine, world: World | None = None,
        language: str | None = None,
    ) -> None:  # fmt: skip
        """`language` is the code of the target language, if there is one; BLEU's tokenizer follows it.

        Raises `EvaluationError` if the tokenizer that the settings name is not available, and `DataError` if no pair
        fits into the model.
        """
        self.dataset, self.tokenizers, self.settings = dataset, tokenizers, settings
        self.decoding = validation_decoding(decoding, settings)
        self.max_positions, self.machine = max_positions, machine
        self.world = world or World()
        longest = np.maximum(dataset.source_lengths, dataset.target_lengths)
        self._usable = np.flatnonzero(longest + ADDED_TOKENS <= max_positions)
        if len(self._usable) < len(dataset):
            fit = f"{len(self._usable):,} of {counted(len(dataset), 'validation pair')} fit into model.max_positions="
            if not len(self._usable):
                raise DataError(f"{fit}{max_positions}; raise it, or validate with shorter pairs (data.valid)")
            say(f"validation: {fit}{max_positions}; the others are left out")
        count = min(settings.validation_sentences, len(self._usable))
        self._decoded = self._usable[np.linspace(0, len(self._usable) - 1, count).astype(np.int64)]
        _, references = self.dataset.texts(self._decoded)
        self.tokenizer, note = choose_tokenizer(settings.validation_tokenizer, language, references)
        if note is not None:
            say(f"validation: {note}")

    def __call__(self, model: Transformer) -> Validation:
        """Validate `model` and leave it in evaluation mode; the processes share the work, and all get the result."""
        model.eval()
        with torch.inference_mode():
            loss, nll = self._loss(model)
            translations = self.world.divide(self._decoded.tolist(), lambda part: self._translate(model, part))
        sources, references = self.dataset.texts(self._decoded)
        scores = score(translations, references, ("bleu", "chrf"), tokenize=self.tokenizer)
        shown = np.linspace(0, len(sources) - 1, min(self.settings.validation_samples, len(sources))).astype(int)
        samples = [(sources[index], references[index], translations[index]) for index in shown]
        return Validation(loss, nll, scores, samples, sources, references, translations, self.tokenizer)

    def some_pairs(self, count: int) -> tuple[list[list[int]], list[list[int]]]:
        """Return the piece ids of at most `count` of the pairs that are decoded, sources and targets."""
        chosen = self._decoded[:: -(-len(self._decoded) // count)].tolist()
        source, target = (
            [side(index).tolist() for index in chosen] for side in (self.dataset.source, self.dataset.target)
        )
        return source, target

    def _loss(self, model: Transformer) -> tuple[float, float]:
        special_tokens, machine = SpecialTokens.of(self.tokenizers), self.machine
        by_length = self._usable[np.argsort(self.dataset.target_lengths[self._usable], kind="stable")]
        budget = Budget(int(self.settings.batch_tokens))
        halving = Halving(machine.device, "a batch of validation pairs", "training.batch_tokens")

        def work(indices: list[int]) -> list[tuple[float, float, float]]:
            batch = make_batch(self.dataset, np.array(indices), special_tokens).to(machine.device)
            loss = batch_loss(model, batch, machine, smoothing=self.settings.label_smoothing)
            return [(float(loss.smoothed), float(loss.nll), batch.target_tokens)]

        sums = np.zeros(3)
        batches = list(split_by_budget(self.dataset, by_length, budget))
        for indices in batches[self.world.rank :: self.world.size]:
            sizes = self.dataset.target_lengths[indices] + 1
            sums += np.sum(halving(work, indices.tolist(), sizes.tolist()), axis=0)
        smoothed, nll, tokens = self.world.sum(sums.tolist())
        return smoothed / tokens, nll / tokens

    def _translate(self, model: Transformer, indices: Sequence[int]) -> list[str]:
        target = self.tokenizers.target
        step_model = TransformerStepModel(
            model,
            bos_id=target.bos_id,
            eos_id=target.eos_id,
            source_eos_id=self.tokenizers.source.eos_id,
            max_length=self.max_positions - 1,
            machine=self.machine,
        )
        sources = [self.dataset.source(index).tolist() for index in indices]
        return [target.decode(ids) for ids in translate_ids(step_model, sources, self.decoding)]
