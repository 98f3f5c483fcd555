"""Training through the sections of an epoch: from any position in the data, the same batches follow."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from translator.config import TrainingSettings
from translator.data import ParallelDataset, batch_plan
from translator.data.arrow_file import DatasetWriter
from translator.data.batches import SpecialTokens
from translator.training.batch_loader import BatchLoader
from translator.training.progress import Position, Progress


@pytest.fixture
def loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BatchLoader:
    """A loader of 250 pairs in three sections."""
    monkeypatch.setattr(batch_plan, "SECTION_PAIRS", 100)
    monkeypatch.setattr(SpecialTokens, "of", lambda _: SpecialTokens(source_eos=2, target_bos=1, target_eos=3))
    random = np.random.default_rng(0)
    with DatasetWriter(tmp_path / "pairs.arrow", with_text=False) as writer:
        sides = [[random.integers(5, 40, random.integers(1, 13)).tolist() for _ in range(250)] for _ in range(2)]
        writer.write(sides[0], sides[1])
    data: Any = SimpleNamespace(
        train=ParallelDataset.open(tmp_path / "pairs.arrow"), mixture=None, tokenizers=None
    )  # fmt: skip
    return BatchLoader(data, TrainingSettings(), 120, seed=1, max_length=20, max_positions=64)


def batches(loader: BatchLoader, position: Position, count: int) -> Iterator[tuple[list[int], int, Position]]:
    for planned in islice(loader.after(position), count):
        yield planned.indices.tolist(), planned.seed, planned.end


def test_from_any_position_the_same_batches_follow(loader: BatchLoader) -> None:
    whole = list(batches(loader, Position(), 60))
    ends = [end for _, _, end in whole]
    epochs = [end.epoch for end in ends]
    first_epoch = [pair for pairs, _, _ in whole[: epochs.index(1) + 1] for pair in pairs]
    assert sorted(first_epoch) == list(range(250))
    assert {end.section for end in ends} == {0, 1, 2}
    assert Position(section=1) in ends and Position(section=2) in ends and Position(1) in ends
    # What is random in a batch differs between sections.
    assert len({seed for _, seed, _ in whole}) == len(whole)
    for index in range(0, 50, 3):
        progress = Progress()
        progress.data_position = ends[index]
        restored = Progress.from_state(progress.to_state()).data_position
        assert list(batches(loader, restored, 9)) == whole[index + 1 : index + 10]


def test_a_stage_that_begins_leaves_all_sections_of_the_epoch() -> None:
    assert Position(3, section=2).next_epoch() == Position(4)
    assert Position(3, 5, 9, section=1).next_epoch() == Position(4)
    assert Position(3).next_epoch() == Position(3)
