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


SECTION_PAIRS = 1 << 22
"""Pairs that are planned at once: planning takes about 80 bytes of host memory and 0.6 microseconds for each."""
_BLOCK = 1 << 20
_WEYL, _FIRST, _SECOND = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB], dtype=np.uint64)


def count_sections(pairs: int) -> int:
    """Return how many sections an epoch of so many pairs has; each is a sample of all of them, and is planned alone."""
    return max(1, -(-pairs // SECTION_PAIRS))


def plan_section(
    dataset: ParallelDataset, budget: Budget, order: str, seed: int, epoch: int, section: int,
    mixture: Mixture | None = None,
) -> list[np.ndarray]:  # fmt: skip
    """Divide a section of an epoch into batches, as `plan_epoch` does the epoch of a data set that has one section.

    Every pair is in exactly one section, by a hash of seed, epoch and index, so that nothing is kept of the other
    sections. With a `mixture`, so is each of its whole passes over a corpus; of the last pass, each pair comes with the
    probability that makes up the corpus's share.
    """
    sections = count_sections(len(dataset))
    if sections == 1:
        return plan_epoch(dataset, budget, order, seed, epoch, mixture)
    chosen = np.concatenate(list(_pairs_of_section(len(dataset), seed, epoch, section, sections, mixture)))
    return _plan(dataset, chosen, budget, order, np.random.default_rng([seed, epoch, section]))


def _pairs_of_section(
    pairs: int, seed: int, epoch: int, section: int, sections: int, mixture: Mixture | None
) -> Iterator[np.ndarray]:
    sizes, counts = ([pairs], [pairs]) if mixture is None else (mixture.sizes, mixture.counts)
    first = 0
    for size, count in zip(sizes, counts, strict=True):
        passes, rest = divmod(count, size)
        for number in range(passes + (rest > 0)):
            for start in range(first, first + size, _BLOCK):
                indices = np.arange(start, min(start + _BLOCK, first + size), dtype=np.int64)
                kept = _hashes(indices, seed, epoch, number, 0) % np.uint64(sections) == section
                if number == passes:
                    kept &= _hashes(indices, seed, epoch, number, 1) < np.uint64(rest / size * 2.0**64)
                yield indices[kept]
        first += size


def _hashes(indices: np.ndarray, *key: int) -> np.ndarray:
    """Return a random number for every index (uint64 [N]): SplitMix64 (Steele et al. 2014) from a seed of the key."""
    (start,) = np.random.SeedSequence(key).generate_state(1, dtype=np.uint64)
    values = start + indices.astype(np.uint64) * _WEYL
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    hashes: np.ndarray = values ^ (values >> np.uint64(31))
    return hashes


def plan_epoch(
    dataset: ParallelDataset, budget: Budget, order: str, seed: int, epoch: int, mixture: Mixture | None = None
) -> list[np.ndarray]:
    """Divide an epoch into batches within the budget, all at once.

    `bucketed` batches hold pairs of similar length in both languages and come in random order; `random` batches
    are random samples. Which of equally long pairs share a batch changes with the epoch. Every pair is in
    exactly one batch, or as often in the epoch as the `mixture` of several corpora says. Returns the pairs'
    indices, one int64 array for each batch.
    """
    random = np.random.default_rng([seed, epoch])
    if mixture is not None:
        return _plan(dataset, mixture.draw(random), budget, order, random, is_shuffled=True)
    return _plan(dataset, np.arange(len(dataset)), budget, order, random)


def _plan(
    dataset: ParallelDataset, chosen: np.ndarray, budget: Budget, order: str, random: np.random.Generator,
    is_shuffled: bool = False,
) -> list[np.ndarray]:  # fmt: skip
    shuffled = chosen if is_shuffled else random.permutation(chosen)
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
