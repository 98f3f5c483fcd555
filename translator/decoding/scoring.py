"""How probable given translations are: teacher-forced log-probabilities of piece ids.

They are those of the searches (`Hypothesis.log_probability`), for one model and for an ensemble.

Legend: `T` target tokens, end marks included; `C` tokens of a chunk, `V` vocabulary, `M` models.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from translator.attention.layout import Packed, pack
from translator.decoding.engine import token_batches
from translator.decoding.logits import logsumexp
from translator.inference.steps import TransformerStepModel

_CHUNK_LOGITS = 1 << 22
_LARGEST_EXPONENT = 700.0


@dataclass(frozen=True)
class ScoredTarget:
    """The log-probability of a target, given its source, in nats."""

    log_probability: float
    """Sum over the pieces and the end mark."""
    log_probabilities: tuple[float, ...]
    """Of each piece and of the end mark; none where there is neither source nor target."""

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
) -> list[ScoredTarget | None]:
    """Score every target, in order, under one model, or under the mean of the probabilities of several.

    Sources and targets are piece ids without marks; a source begins with its language tag where the models have tags.
    None stands for a pair with a side that is longer than a model's `max_length`, and for a target without a source. A
    pair without any pieces has the log-probability 0, as in the searches. A batch holds about `batch_tokens` tokens on
    its longer side.
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
    for places in token_batches(lengths, batch_tokens):
        batch = [usable[place] for place in places]
        scored = _score_batch(models, [sources[index] for index in batch], [targets[index] for index in batch])
        for index, result in zip(batch, scored, strict=True):
            results[index] = result
    return results


def longest_side(models: Sequence[TransformerStepModel]) -> float:
    """Return the most pieces that either side of a pair may have."""
    return min(math.inf if model.max_length is None else model.max_length for model in models)


def perplexity(log_probability: float, tokens: int) -> float:
    """Return exp of the mean negative log-probability of so many tokens; 1 of none."""
    return math.exp(min(-log_probability / max(tokens, 1), _LARGEST_EXPONENT))


@torch.inference_mode()
def _score_batch(
    models: Sequence[TransformerStepModel], sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> list[ScoredTarget]:
    bos_id, eos_id, device = models[0].bos_id, models[0].eos_id, models[0].device
    source = pack([[*pieces, eos_id] for pieces in sources]).to(device)
    target = pack([[bos_id, *pieces] for pieces in targets]).to(device)
    labels = pack([[*pieces, eos_id] for pieces in targets]).to(device).tokens
    by_model = torch.stack([_log_probabilities(model, source, target, labels) for model in models])  # [M, T]
    values = iter((by_model.logsumexp(0) - math.log(len(models))).tolist())
    scored = []
    for pieces in targets:
        own = tuple(itertools.islice(values, len(pieces) + 1))
        scored.append(ScoredTarget(math.fsum(own), own))
    return scored


def _log_probabilities(steps: TransformerStepModel, source: Packed, target: Packed, labels: Tensor) -> Tensor:
    """Return the log-probability of every label under one model, float64 `[T]`; logits exist for a chunk at a time."""
    chosen = []
    with steps.machine.autocast():
        states = steps.model(source, target)  # [T, d_model]
        rows = max(1, _CHUNK_LOGITS // len(steps.model.output_weight))
        for chunk, ids in zip(states.split(rows), labels.split(rows), strict=True):
            logits = steps.model.logits(chunk).float()  # [C, V]
            values = logits.gather(-1, ids[:, None]).double()
            # Read before the logits are overwritten.
            highest = logits.amax(-1, keepdim=True)
            chosen.append((values - logsumexp(logits, highest)).squeeze(-1))
    return torch.cat(chosen)
