"""Numbers with their nouns in messages."""

import pytest

from translator.runtime.counted import counted


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((0, "line"), "0 lines"),
        ((1, "line"), "1 line"),
        ((2, "training pair"), "2 training pairs"),
        ((1_234_567, "shard"), "1,234,567 shards"),
        ((1, "process", "processes"), "1 process"),
        ((1200, "process", "processes"), "1,200 processes"),
        ((1, "line is", "lines are"), "1 line is"),
    ],
)
def test_a_number_with_its_noun(words: tuple[int, str], expected: str) -> None:
    assert counted(*words) == expected
