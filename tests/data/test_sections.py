"""Epochs in sections: large data are planned a sample at a time, with every pair where the whole epoch has it."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from translator.data import Mixture, ParallelDataset, batch_plan
from translator.data.arrow_file import DatasetWriter
from translator.data.batch_plan import Budget, count_sections, plan_epoch, plan_section

PAIRS = 700
BUDGET = Budget(40)


@pytest.fixture
def dataset(tmp_path: Path) -> ParallelDataset:
    """700 pairs of 1 to 12 pieces in two files."""
    random = np.random.default_rng(0)
    files = [tmp_path / "a.arrow", tmp_path / "b.arrow"]
    for file, size in zip(files, (300, PAIRS - 300), strict=True):
        with DatasetWriter(file, with_text=False) as writer:
            sides = [[random.integers(5, 40, random.integers(1, 13)).tolist() for _ in range(size)] for _ in range(2)]
            writer.write(sides[0], sides[1])
    return ParallelDataset.open(files)


@pytest.fixture
def small_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sections of about 100 pairs."""
    monkeypatch.setattr(batch_plan, "SECTION_PAIRS", 100)
    monkeypatch.setattr(batch_plan, "_BLOCK", 64)


def sections(dataset: ParallelDataset, epoch: int, order: str, mixture: Mixture | None = None) -> list[list[list[int]]]:
    return [
        [batch.tolist() for batch in plan_section(dataset, BUDGET, order, 1, epoch, section, mixture)]
        for section in range(count_sections(len(dataset)))
    ]


def flat(plans: list[list[list[int]]]) -> list[int]:
    return [pair for plan in plans for batch in plan for pair in batch]


@pytest.mark.parametrize("order", ["bucketed", "random"])
def test_data_of_one_section_are_planned_as_a_whole(dataset: ParallelDataset, order: str) -> None:
    expected = [batch.tolist() for batch in plan_epoch(dataset, BUDGET, order, 1, 3)]
    assert sections(dataset, 3, order) == [expected]


@pytest.mark.usefixtures("small_sections")
@pytest.mark.parametrize("order", ["bucketed", "random"])
def test_every_pair_is_in_one_section(dataset: ParallelDataset, order: str) -> None:
    first, again, other = (sections(dataset, epoch, order) for epoch in (0, 0, 1))
    assert first == again != other
    assert len(first) == 7
    for plans in (first, other):
        assert sorted(flat(plans)) == list(range(PAIRS))
    # Each section is a sample of all the data, and has about as many pairs as any other.
    for plan in first:
        pairs = [pair for batch in plan for pair in batch]
        assert 70 < len(pairs) < 130 and 0.25 < np.mean(np.array(pairs) < 300) < 0.6
        assert pairs != sorted(pairs)
        for batch in plan:
            assert (dataset.target_lengths[batch] + 1).sum() <= 40 or len(batch) == 1
    assert {tuple(sorted(pair for batch in plan for pair in batch)) for plan in first}.isdisjoint(
        {tuple(sorted(pair for batch in plan for pair in batch)) for plan in other}
    )


@pytest.mark.usefixtures("small_sections")
def test_a_mixture_has_its_shares_over_all_sections(dataset: ParallelDataset) -> None:
    # 300 pairs come 1.75 times, 400 come 0.4375 times.
    mixture = Mixture.of([300, 400], [3.0, 1.0])
    seen = [Counter(flat(sections(dataset, epoch, "random", mixture))) for epoch in range(3)]
    for counts in seen:
        assert {counts[pair] for pair in range(300)} == {1, 2}
        assert {counts[pair] for pair in range(300, PAIRS)} == {0, 1}
        assert abs(sum(counts[pair] for pair in range(300)) - 525) < 40
        assert abs(sum(counts[pair] for pair in range(300, PAIRS)) - 175) < 40
    assert seen[0] != seen[1]
    # The pairs of whole passes are spread over the sections as well.
    whole = Mixture.of([300, 400], [3.0, 4.0])
    assert sorted(flat(sections(dataset, 0, "bucketed", whole))) == list(range(PAIRS))
