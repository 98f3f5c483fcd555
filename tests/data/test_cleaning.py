"""Which pairs are kept and why others are dropped, against plain sets of strings."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translator.data.cleaning import KEPT, REASONS, fits, reason_of, scan, select

word = st.sampled_from(["", " ", "a", "b", "c", " a", "b\r", "\u3000"])
corpora = st.lists(st.tuples(word, word), max_size=12)


def select_by_sets(
    train: Sequence[tuple[str, str]], references: Sequence[tuple[str, str]], duplicates: bool, leaks: bool
) -> list[str | None]:
    """Why each pair is dropped, in plain Python."""
    sources = {source.strip() for source, _ in references}
    targets = {target.strip() for _, target in references}
    seen: set[tuple[str, str]] = set()
    reasons: list[str | None] = []
    for source, target in ((source.strip(), target.strip()) for source, target in train):
        if not source or not target:
            reasons.append("blank")
        elif leaks and (source in sources or target in targets):
            reasons.append("leak")
        elif duplicates and (source, target) in seen:
            reasons.append("duplicate")
        else:
            seen.add((source, target))
            reasons.append(None)
    return reasons


@given(train=corpora, valid=corpora, test=corpora, duplicates=st.booleans(), leaks=st.booleans())
def test_selection_equals_plain_sets(
    train: list[tuple[str, str]],
    valid: list[tuple[str, str]],
    test: list[tuple[str, str]],
    duplicates: bool,
    leaks: bool,
) -> None:
    codes = select(scan(train), [scan(valid), scan(test)], duplicates, leaks)
    expected = select_by_sets(train, valid + test, duplicates, leaks)
    assert [None if code == KEPT else reason_of(code) for code in codes.tolist()] == expected


def test_exchanged_sides_are_no_repetition() -> None:
    codes = select(scan([("a", "b"), ("b", "a"), ("a", "a"), ("b", "b")]), [], True, True)
    assert codes.tolist() == [KEPT] * 4


def test_a_side_is_only_compared_with_the_same_side() -> None:
    codes = select(scan([("a", "x"), ("y", "a")]), [scan([("q", "a")])], True, True)
    assert [code == KEPT for code in codes] == [True, False]


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        (0, 3, "blank"),
        (3, 0, "blank"),
        (50, 50, None),
        (51, 50, "length"),
        (50, 51, "length"),
        (1, 10, None),
        (1, 11, "length_ratio"),
        (11, 1, "length_ratio"),
        (10, 40, None),
        (10, 41, "length_ratio"),
    ],
)
def test_lengths(source: int, target: int, reason: str | None) -> None:
    assert fits(source, target, 50, 4.0) == reason
    assert reason is None or reason in REASONS
