"""Scores of given translations: teacher-forced log-probabilities of token ids, under one model or an ensemble.

They equal the log-probabilities that the searches report (`Hypothesis.log_probability`).

Shapes: T target tokens, end tokens included; C tokens of a chunk, V vocabulary, M models.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from translator.attention.layout import Packed, pack
from translator.decoding.engine import token_batches
from translator.decoding.logits import logsumexp
from translator.distributed.world import World
from translator.inference.steps import TransformerStepModel
from translator.runtime.halving import Halving

_CHUNK_LOGITS = 1 << 22
_LARGEST_EXPONENT = 700.0


@dataclass(frozen=True)
class ScoredTarget:
    """The log-probability of a target, given its source, in nats."""

    log_probability: float
    """Sum over the tokens and the end token."""
    log_probabilities: tuple[float, ...]
    """Of each token and of the end token; empty if source and target are both empty."""

    @property
    def perplexity(self) -> float:
        """exp of the mean negative log-probability of a token."""
        return perplexity(self.log_probability, len(self.log_probabilities))


def score_pairs(
    models: Sequence[TransformerStepModel],
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    *,
    batch_tokens: int = 4096,
    window: int | None = None,
    world: World | None = None,
) -> list[ScoredTarget | None]:
    """Score every target, in order, under one model, or under the mean of the probabilities of several.

    Sources and targets are token ids without special tokens; a source begins with its language tag if the models have
    tags. The result is None if a side is longer than a model's `max_length`, or if a target has no source. If both
    sides are empty, the log-probability is 0, as in the searches. A batch holds about `batch_tokens` tokens, counted on
    the longer side of each pair, of `window` consecutive pairs, by default all. The processes of a `world`, all with
    the same arguments, share the batches, which do not depend on how many they are; each gets all results.
    """
    results: list[ScoredTarget | None] = [None] * len(sources)
    longest = longest_side(models)
    usable = []
    for index, (source, target) in enumerate(zip(sources, targets, strict=True)):
        if len(source) and max(len(source), len(target)) <= longest:
            usable.append(index)
        elif not len(source) and not len(target):
            results[index] = ScoredTarget(0.0, ())
    lengths = [max(len(sources[index]), len(targets[index])) + 1 for index in usable]
    halving = Halving(models[0].device, "a batch of pairs to score", "decoding.batch_tokens")

    def work(batch: list[int]) -> list[ScoredTarget]:
        return _score_batch(models, [sources[index] for index in batch], [targets[index] for index in batch])

    batches = []
    for start, end in _windows(usable, window or len(sources) or 1):
        for indices in token_batches(lengths[start:end], batch_tokens):
            batches.append([start + index for index in indices])

    def work_on(share: Sequence[list[int]]) -> list[list[ScoredTarget]]:
        return [halving(work, [usable[row] for row in batch], [lengths[row] for row in batch]) for batch in share]

    for batch, scored in zip(batches, (world or World()).divide(batches, work_on), strict=True):
        for row, result in zip(batch, scored, strict=True):
            results[usable[row]] = result
    return results


def _windows(usable: Sequence[int], window: int) -> Iterator[tuple[int, int]]:
    """Yield where the pairs of each window begin and end among those that can be scored."""
    start = 0
    for _, group in itertools.groupby(usable, lambda index: index // window):
        end = start + sum(1 for _ in group)
        yield start, end
        start = end


def longest_side(models: Sequence[TransformerStepModel]) -> float:
    """Return the maximum number of tokens on either side of a pair."""
    return min(math.inf if model.max_length is None else model.max_length for model in models)


def perplexity(log_probability: float, tokens: int) -> float:
    """Return exp of the mean negative log-probability of a token; 1 if there are no tokens."""
    return math.exp(min(-log_probability / max(tokens, 1), _LARGEST_EXPONENT))


@torch.inference_mode()
def _score_batch(
    models: Sequence[TransformerStepModel], sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> list[ScoredTarget]:
    bos_id, eos_id, device = models[0].bos_id, models[0].eos_id, models[0].device
    source = pack([[*tokens, models[0].source_eos_id] for tokens in sources]).to(device)
    target = pack([[bos_id, *tokens] for tokens in targets]).to(device)
    labels = pack([[*tokens, eos_id] for tokens in targets]).to(device).tokens
    by_model = torch.stack([_log_probabilities(model, source, target, labels) for model in models])  # [M, T]
    values = iter((by_model.logsumexp(0) - math.log(len(models))).tolist())
    scored = []
    for tokens in targets:
        own = tuple(itertools.islice(values, len(tokens) + 1))
        scored.append(ScoredTarget(math.fsum(own), own))
    return scored


def _log_probabilities(step_model: TransformerStepModel, source: Packed, target: Packed, labels: Tensor) -> Tensor:
    """Return the log-probability of every label under one model, float64 [T]; logits exist for one chunk at a time."""
    chosen = []
    with step_model.machine.autocast():
        states = step_model.model(source, target)  # [T, d_model]
        rows = max(1, _CHUNK_LOGITS // len(step_model.model.output_weight))
        for chunk, ids in zip(torch.split(states, rows), torch.split(labels, rows), strict=True):
            logits = step_model.model.logits(chunk).float()  # [C, V]
            values = logits.gather(-1, ids[:, None]).double()
            # Read before the logits are overwritten.
            highest = logits.amax(-1, keepdim=True)
            chosen.append((values - logsumexp(logits, highest)).squeeze(-1))
    return torch.cat(chosen)
