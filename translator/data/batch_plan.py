"""Which pairs share a batch, within a token budget: a pure function of the settings and (seed, epoch)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from translator.data.dataset import ParallelDataset
from translator.data.mixture import Mixture

ADDED_TOKENS = 1
"""Tokens that each side gains in a batch: EOS after a source; BOS before, or EOS after, a target."""


@dataclass(frozen=True)
class Budget:
    """The most that a batch may hold; a pair that is larger by itself makes a batch of its own."""

    target_tokens: int
    source_tokens: int | None = None
    sentences: int | None = None
    longest_filler: int | None = None
    """If a batch will be filled up with target sentences of this length, a source token is left over for each: a batch
    of long sources may have next to no target. No pair may have a longer target; needs `source_tokens`."""


def plan_epoch(
    dataset: ParallelDataset, budget: Budget, order: str, seed: int, epoch: int, mixture: Mixture | None = None
) -> list[np.ndarray]:
    """Divide an epoch into batches within the budget.

    `bucketed` batches hold pairs of similar length in both languages and come in random order; `random` batches
    are random samples. Which of equally long pairs share a batch changes with the epoch. Every pair is in
    exactly one batch, or as often in the epoch as the `mixture` of several corpora says. Returns the pairs'
    indices, one int64 array for each batch.
    """
    random = np.random.default_rng([seed, epoch])
    shuffled = random.permutation(len(dataset)) if mixture is None else mixture.draw(random)
    if order == "bucketed":
        lengths = dataset.target_lengths[shuffled], dataset.source_lengths[shuffled]
        shuffled = shuffled[np.lexsort((lengths[1], lengths[0]))]
    batches = list(split_by_budget(dataset, shuffled, budget))
    if order == "bucketed":
        batches = [batches[index] for index in random.permutation(len(batches))]
    return batches


def split_by_budget(dataset: ParallelDataset, indices: np.ndarray, budget: Budget) -> Iterator[np.ndarray]:
    """Cut `indices`, in order, into the longest runs that are within the budget."""
    limits = [
        (dataset.target_lengths[indices].astype(np.int64) + ADDED_TOKENS, budget.target_tokens),
        (dataset.source_lengths[indices].astype(np.int64) + ADDED_TOKENS, budget.source_tokens),
        (np.ones(len(indices), dtype=np.int64), budget.sentences),
    ]
    if budget.longest_filler is not None and budget.source_tokens is not None:
        # source + (budget.target_tokens - target) / longest_filler <= budget.source_tokens, without fractions.
        longest = budget.longest_filler
        limits.append((longest * limits[1][0] - limits[0][0], longest * budget.source_tokens - budget.target_tokens))
    sums = [(np.cumsum(costs), limit) for costs, limit in limits if limit is not None]
    begin = 0
    while begin < len(indices):
        spent = [int(totals[begin - 1]) if begin else 0 for totals, _ in sums]
        ends = [
            int(np.searchsorted(totals, before + limit, side="right"))
            for (totals, limit), before in zip(sums, spent, strict=True)
        ]
        end = max(min(ends), begin + 1)
        yield indices[begin:end]
        begin = end
