"""Mixtures: every epoch has all the pairs it should, drawn evenly, and the same for the same seed."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.data import Mixture, ParallelDataset
from translator.data.arrow_file import DatasetWriter
from translator.data.batch_plan import Budget, plan_epoch
from translator.data.mixture import apportion


def numbers(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(total=st.integers(0, 10_000), shares=st.lists(st.floats(0.01, 100.0), min_size=1, max_size=8))
@settings(deadline=None)
def test_parts_are_whole_add_up_and_are_near_the_shares(total: int, shares: list[float]) -> None:
    counts = apportion(total, shares)
    assert sum(counts) == total
    assert all(abs(count - total * share / sum(shares)) < 1.0 for count, share in zip(counts, shares, strict=True))


@given(
    corpora=st.lists(st.tuples(st.integers(1, 40), st.floats(0.05, 20.0)), min_size=1, max_size=5),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_an_epoch_is_whole_passes_and_a_rest_without_repetition(corpora: list[tuple[int, float]], seed: int) -> None:
    mixture = Mixture.of([size for size, _ in corpora], [weight for _, weight in corpora])
    drawn = mixture.draw(numbers(seed))
    assert len(drawn) == sum(mixture.sizes)
    times = Counter(drawn.tolist())
    start = 0
    for size, count in zip(mixture.sizes, mixture.counts, strict=True):
        found = [times[pair] for pair in range(start, start + size)]
        assert sum(found) == count
        assert set(found) <= {count // size, -(-count // size)}
        start += size


def test_one_pass_of_each_is_the_permutation_of_plain_concatenation() -> None:
    for sizes in ([7], [30, 5, 64]):
        mixture = Mixture.of(sizes)
        assert mixture.counts == sizes
        assert mixture.draw(numbers(3)).tolist() == numbers(3).permutation(sum(sizes)).tolist()


def test_the_temperature_evens_out_and_weights_decide() -> None:
    sizes = [10_000, 100]
    assert Mixture.of(sizes).shares == pytest.approx((100 / 101, 1 / 101))
    assert Mixture.of(sizes, temperature=2.0).shares == pytest.approx((100 / 110, 10 / 110))
    assert Mixture.of(sizes, temperature=100.0).counts[1] > 4800
    assert Mixture.of(sizes, [1.0, 3.0]).counts == [2525, 7575]


def test_the_rest_is_another_one_in_every_epoch_and_the_same_for_the_same_seed() -> None:
    mixture = Mixture.of([100, 20], [1.0, 1.0])
    first, again, other = (mixture.draw(np.random.default_rng([1, epoch])) for epoch in (0, 0, 1))
    assert first.tolist() == again.tolist()
    assert set(first.tolist()) != set(other.tolist())
    seen = {pair for epoch in range(20) for pair in mixture.draw(np.random.default_rng([1, epoch])).tolist()}
    assert seen == set(range(120))


@pytest.mark.parametrize("order", ["bucketed", "random"])
def test_plans_hold_what_the_mixture_draws(tmp_path: Path, order: str) -> None:
    random = numbers()
    with DatasetWriter(tmp_path / "pairs.arrow", with_text=False) as writer:
        for _ in range(3):
            sources, targets = ([[5] * int(random.integers(1, 9)) for _ in range(20)] for _ in range(2))
            writer.write(sources, targets)
    dataset = ParallelDataset.open(tmp_path / "pairs.arrow")

    def plan(mixture: Mixture | None, epoch: int = 0) -> list[list[int]]:
        return [batch.tolist() for batch in plan_epoch(dataset, Budget(40), order, 1, epoch, mixture)]

    assert plan(Mixture.of([50, 10])) == plan(None)
    mixture = Mixture.of([50, 10], [1.0, 2.0])
    flat = [pair for batch in plan(mixture, 4) for pair in batch]
    assert sorted(flat) == sorted(mixture.draw(np.random.default_rng([1, 4])).tolist())
    assert sum(pair >= 50 for pair in flat) == 40
    assert plan(mixture, 4) == plan(mixture, 4) != plan(mixture, 5)
