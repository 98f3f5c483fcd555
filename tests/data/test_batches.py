"""Batches: every pair once an epoch, within the budget, and the same for the same seed and epoch."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from translator.data import ParallelDataset
from translator.data.arrow_file import DatasetWriter
from translator.data.batch_plan import Budget, plan_epoch, split_by_budget
from translator.data.batches import SpecialTokens, make_batch

PLAIN = Budget(40)
SPECIAL_TOKENS = SpecialTokens(source_eos=2, target_bos=1, target_eos=3)


@pytest.fixture
def dataset(tmp_path: Path) -> ParallelDataset:
    """200 pairs of 1 to 12 pieces, in several record batches; some are equally long."""
    random = np.random.default_rng(0)
    with DatasetWriter(tmp_path / "pairs.arrow", with_text=False) as writer:
        for _ in range(4):
            sides = [[random.integers(5, 40, random.integers(1, 13)).tolist() for _ in range(50)] for _ in range(2)]
            writer.write(sides[0], sides[1])
    return ParallelDataset.open(tmp_path / "pairs.arrow")


def plan(
    dataset: ParallelDataset, order: str, seed: int = 1, epoch: int = 0, budget: Budget = PLAIN
) -> list[list[int]]:
    return [batch.tolist() for batch in plan_epoch(dataset, budget, order, seed, epoch)]


def costs_of(dataset: ParallelDataset, batch: list[int]) -> tuple[int, int, int]:
    """Target tokens and source tokens, a special token with each sentence, and sentences."""
    sides = (int((lengths[batch] + 1).sum()) for lengths in (dataset.target_lengths, dataset.source_lengths))
    return (*sides, len(batch))


def within(costs: tuple[int, int, int], budget: Budget) -> bool:
    limits = (budget.target_tokens, budget.source_tokens, budget.sentences)
    return all(limit is None or cost <= limit for cost, limit in zip(costs, limits, strict=True))


BUDGETS = [
    Budget(1),
    Budget(13),
    Budget(40),
    Budget(10_000),
    Budget(40, 30),
    Budget(60, None, 4),
    Budget(99, 80, 9),
]


@pytest.mark.parametrize("order", ["bucketed", "random"])
@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_every_pair_is_in_exactly_one_batch_within_the_budget(
    dataset: ParallelDataset, order: str, budget: Budget
) -> None:
    for epoch in range(3):
        batches = plan(dataset, order, epoch=epoch, budget=budget)
        assert sorted(pair for batch in batches for pair in batch) == list(range(len(dataset)))
        assert all(len(batch) == 1 or within(costs_of(dataset, batch), budget) for batch in batches)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    chosen=st.lists(st.integers(0, 199), max_size=30),
    budget=st.builds(Budget, st.integers(1, 60), st.none() | st.integers(1, 60), st.none() | st.integers(1, 9)),
)
def test_runs_are_in_order_and_as_long_as_the_budget_allows(
    dataset: ParallelDataset, chosen: list[int], budget: Budget
) -> None:
    indices = np.array(chosen, dtype=np.int64)
    runs = [run.tolist() for run in split_by_budget(dataset, indices, budget)]
    assert [item for run in runs for item in run] == chosen
    assert all(len(run) == 1 or within(costs_of(dataset, run), budget) for run in runs)
    for run, following in pairwise(runs):
        assert not within(costs_of(dataset, [*run, following[0]]), budget)


@pytest.mark.parametrize("order", ["bucketed", "random"])
def test_the_order_is_a_function_of_seed_and_epoch(dataset: ParallelDataset, order: str) -> None:
    assert plan(dataset, order, seed=1, epoch=2) == plan(dataset, order, seed=1, epoch=2)
    plans = [plan(dataset, order, seed, epoch) for seed in (1, 2) for epoch in (0, 1)]
    for index, one in enumerate(plans):
        for other in plans[index + 1 :]:
            assert one != other
            assert sorted(map(sorted, one)) != sorted(map(sorted, other)), "the batches differ, not their order"


def test_bucketed_batches_hold_like_lengths(dataset: ParallelDataset) -> None:
    spread = {}
    for order in ("bucketed", "random"):
        batches = plan(dataset, order)
        spread[order] = sum(int(np.ptp(dataset.target_lengths[batch])) for batch in batches) / len(batches)
    assert spread["bucketed"] <= 1 < spread["random"]
    lengths = [int(dataset.target_lengths[batch[0]]) for batch in plan(dataset, "bucketed")]
    assert lengths != sorted(lengths), "short batches do not all come first"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(chosen=st.lists(st.integers(0, 199), min_size=1, max_size=9))
def test_a_batch_is_the_pairs_with_their_marks(dataset: ParallelDataset, chosen: list[int]) -> None:
    batch = make_batch(dataset, np.array(chosen), SPECIAL_TOKENS)
    source = [[*dataset.source(index).tolist(), 2] for index in chosen]
    target = [[1, *dataset.target(index).tolist()] for index in chosen]
    labels = [[*dataset.target(index).tolist(), 3] for index in chosen]
    assert batch.source.tokens.tolist() == [token for row in source for token in row]
    assert batch.target.tokens.tolist() == [token for row in target for token in row]
    assert batch.labels.tolist() == [token for row in labels for token in row]
    for packed, rows in ((batch.source, source), (batch.target, target)):
        assert packed.layout.offsets.tolist() == np.cumsum([0, *map(len, rows)]).tolist()
        assert packed.layout.max_length == max(map(len, rows))
    assert batch.target_tokens == batch.target.tokens.numel()
    assert batch.indices.tolist() == chosen
    # What the decoder must predict at a position is its input at the next.
    for begin, end in zip(batch.target.layout.offsets[:-1], batch.target.layout.offsets[1:], strict=True):
        assert batch.labels[begin : end - 1].equal(batch.target.tokens[begin + 1 : end])
