"""Alterations: each does what it says on both sides, depends on nothing but the seed, and can be turned off."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from translator.config import AugmentationSettings
from translator.data import PreparedData, prepare
from translator.data.augmentation import Augmenter
from translator.data.text_sampling import TextSampler

SOURCES = ["Don't stop now!", "A dog sleeps.", "你好。", "no end"]
TARGETS = ["Hör nicht auf!", "Ein Hund schläft.", "Guten Tag.", "Kein Ende."]
ALWAYS = 0.999999
NAMES = list(AugmentationSettings.model_fields)


def altered(seed: int = 1, groups: list[int] | None = None, **settings: float) -> list[tuple[str, str]]:
    return list(zip(*Augmenter(AugmentationSettings(**settings)).alter(SOURCES, TARGETS, seed, groups), strict=True))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("upper_case", [("DON'T STOP NOW!", "HÖR NICHT AUF!"), ("A DOG SLEEPS.", "EIN HUND SCHLÄFT.")]),
        ("title_case", [("Don't Stop Now!", "Hör Nicht Auf!"), ("A Dog Sleeps.", "Ein Hund Schläft.")]),
        ("lower_case", [("don't stop now!", "hör nicht auf!"), ("a dog sleeps.", "ein hund schläft.")]),
        ("drop_final_punctuation", [("Don't stop now", "Hör nicht auf"), ("A dog sleeps", "Ein Hund schläft")]),
    ],
)
def test_both_sides_are_altered(name: str, expected: list[tuple[str, str]]) -> None:
    assert altered(**{name: ALWAYS})[:2] == expected


def test_final_punctuation_of_one_side_stays() -> None:
    found = altered(drop_final_punctuation=ALWAYS)
    assert found[2:] == [("你好", "Guten Tag"), ("no end", "Kein Ende.")]


def test_typos_are_in_the_source() -> None:
    for seed in range(20):
        for (source, target), old, reference in zip(altered(seed, typos=ALWAYS), SOURCES, TARGETS, strict=True):
            assert target == reference
            assert abs(len(source) - len(old)) <= 1
    assert sum(source != old for seed in range(20) for (source, _), old in zip(altered(seed, typos=ALWAYS), SOURCES,
                                                                               strict=True)) > 60  # fmt: skip


def test_merged_lines_hold_two_pairs_of_a_group() -> None:
    pairs = list(zip(SOURCES, TARGETS, strict=True))
    seen = set()
    for seed in range(30):
        for (source, target), first in zip(altered(seed, groups=[0, 0, 1, 1], merge=ALWAYS), pairs, strict=True):
            if (source, target) == first:
                continue  # the other pair would have been of another group
            second = next(pair for pair in pairs if target == f"{first[1]} {pair[1]}")
            assert source == first[0] + ("" if first[0] == "你好。" else " ") + second[0]
            seen.add((pairs.index(first), pairs.index(second)))
    assert seen == {(a, b) for a in (0, 1) for b in (0, 1)} | {(a, b) for a in (2, 3) for b in (2, 3)}


def test_copied_things_are_the_same_on_both_sides() -> None:
    things = set()
    for seed in range(50):
        for (source, target), old, reference in zip(altered(seed, copied=ALWAYS), SOURCES, TARGETS, strict=True):
            thing = source.removeprefix(old).removesuffix(old).strip()
            assert thing and thing == target.removeprefix(reference).removesuffix(reference).strip()
            assert source.index(old) == target.index(reference)
            things.add(thing)
    assert len(things) > 50


def test_a_pair_has_one_case_and_probabilities_are_met() -> None:
    settings = AugmentationSettings(upper_case=0.3, lower_case=0.2)
    sources, _ = Augmenter(settings).alter(["Ab"] * 4000, ["Cd"] * 4000, 5)
    assert {"Ab", "AB", "ab"} == set(sources)
    assert sources.count("AB") == pytest.approx(1200, abs=120)
    assert sources.count("ab") == pytest.approx(800, abs=120)


text = st.text(min_size=1, max_size=30).filter(lambda line: line.strip() == line and "\n" not in line)


@given(pairs=st.lists(st.tuples(text, text), min_size=1, max_size=4), seed=st.integers(0, 2**31), data=st.data())
def test_any_text_stays_a_pair_and_depends_on_the_seed(pairs: list[tuple[str, str]], seed: int, data: Any) -> None:
    settings = AugmentationSettings(**{name: data.draw(st.sampled_from([0.0, 0.5, ALWAYS])) for name in NAMES})
    sources, targets = map(list, zip(*pairs, strict=True))
    first, again = (Augmenter(settings).alter(sources, targets, seed) for _ in range(2))
    assert first == again
    assert len(first[0]) == len(first[1]) == len(pairs)
    assert all(side.strip() for texts in first for side in texts)
    if not settings.is_on:
        assert first == (sources, targets)


@pytest.fixture
def data(corpus: Callable[..., str], pairs: Callable[..., Any], settings: Callable[..., Any],
         tmp_path: Path) -> PreparedData:  # fmt: skip
    sections = {"tokenizer": {"vocab_size": 340}, "augmentation": {"upper_case": 0.3}}
    return prepare(settings(sections, train=corpus("train", pairs(0, 80))), tmp_path / "prepared")


def test_altered_text_is_what_a_model_reads(data: PreparedData) -> None:
    indices = np.arange(20)
    augmenter = Augmenter(AugmentationSettings(upper_case=0.5))
    found = TextSampler(data.train, data.tokenizers, 0.0, 60, augmenter=augmenter).gather(indices, 3)
    expected = augmenter.alter(*data.train.texts(indices), 3)
    for tokenizer, texts, tokens, offsets in zip(
        (data.tokenizers.source, data.tokenizers.target), expected, found[::2], found[1::2], strict=True
    ):
        rows = [tokens[offsets[row] : offsets[row + 1]].tolist() for row in range(len(indices))]
        assert [tokenizer.decode(row) for row in rows] == texts
        assert rows == tokenizer.encode(texts)
    assert 4 < sum(source.isupper() for source in expected[0]) < 16


def test_a_pair_that_would_be_too_long_is_left_as_it_is_on_both_sides(data: PreparedData) -> None:
    indices = np.arange(20)
    usual = data.train.gather(indices)
    longest = int(np.diff(usual.source_offsets).max())
    always = Augmenter(AugmentationSettings(upper_case=ALWAYS))
    found = TextSampler(data.train, data.tokenizers, 0.0, longest + 12, augmenter=always).gather(indices, 3)
    sides = [
        [tokenizer.decode(tokens[a:b].tolist()) for a, b in itertools.pairwise(offsets)]
        for tokenizer, tokens, offsets in zip(
            (data.tokenizers.source, data.tokenizers.target), found[::2], found[1::2], strict=True
        )
    ]
    raised = [text.isupper() for text in sides[0]]
    assert raised == [text.isupper() for text in sides[1]]
    assert any(raised) and not all(raised)
