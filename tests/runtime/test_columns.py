"""Tables of text."""

import pytest

from translator.runtime.columns import align

ROWS = [["head", "loss", "role"], ["cross.1.1", "-0.5", "alignment"], ["a", "+12.25", ""]]


def test_columns_are_as_wide_as_their_longest_cell() -> None:
    assert align(ROWS) == [
        "head         loss       role",
        "cross.1.1    -0.5  alignment",
        "a          +12.25",
    ]
    assert align(ROWS, left=(0, 2)) == [
        "head         loss  role",
        "cross.1.1    -0.5  alignment",
        "a          +12.25",
    ]


def test_rows_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError):
        align([["a", "b"], ["c"]])
