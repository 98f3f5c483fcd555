"""Minimum Bayes risk against sacreBLEU's own scores, averaged over all samples."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF

from translator.decoding import mbr
from translator.decoding.mbr import choose_by_mbr

METRICS: dict[str, Any] = {"chrf": CHRF(), "bleu": BLEU(effective_order=True)}
SENTENCES = st.lists(st.sampled_from(["the", "cat", "cat.", "a", "dog,", "x", "ha", "Käse"]), max_size=9).map(" ".join)


def expected(texts: list[str], utility: str) -> list[tuple[int, float]]:
    """The answer from one call of sacreBLEU for each candidate and sample."""
    score = METRICS[utility].sentence_score
    means = {text: sum(score(text, [other]).score for other in texts) / len(texts) for text in texts}
    return sorted(((texts.index(text), mean) for text, mean in means.items()), key=lambda pair: (-pair[1], pair[0]))


@pytest.mark.parametrize("utility", METRICS)
@pytest.mark.parametrize("block", [1 << 14, 5])
@given(texts=st.lists(SENTENCES, max_size=6))
@settings(max_examples=25, deadline=None)
def test_utilities_are_those_of_sacrebleu(utility: str, block: int, texts: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mbr, "_BLOCK", block)
        found = choose_by_mbr(texts, utility, len(texts))
    by_index = dict(expected(texts, utility))
    assert [value for _, value in found] == pytest.approx(sorted(by_index.values(), reverse=True), abs=1e-6)
    assert {index: pytest.approx(value, abs=1e-6) for index, value in found} == by_index


@pytest.mark.parametrize("utility", METRICS)
def test_the_text_most_similar_to_the_others_wins(utility: str) -> None:
    texts = ["a big dog runs home", "a dog runs home now", "nothing like it at all", "a dog runs home now"]
    ((index, value),) = choose_by_mbr(texts, utility, 1)
    assert (index, value) == (1, pytest.approx(dict(expected(texts, utility))[1]))
    assert [index for index, _ in choose_by_mbr(texts, utility, 9)] == [1, 0, 2]


@pytest.mark.parametrize("utility", METRICS)
def test_repetitions_count_as_references(utility: str) -> None:
    assert choose_by_mbr(["abc", "xyz"], utility, 2)[0][0] == 0
    assert choose_by_mbr(["abc", "xyz", "xyz"], utility, 2)[0][0] == 1


@pytest.mark.parametrize("utility", METRICS)
def test_ties_keep_their_order(utility: str) -> None:
    """Six words that share no n-gram are tied, however the sums are rounded."""
    texts = ["eins", "bzw", "fghkl", "mop", "xyvj", "Ü"]
    assert [index for index, _ in choose_by_mbr([*texts, *texts], utility, 6)] == list(range(6))


@pytest.mark.parametrize("utility", METRICS)
def test_empty_texts(utility: str) -> None:
    assert choose_by_mbr([], utility, 3) == []
    assert choose_by_mbr(["", ""], utility, 3) == [(0, 0.0)]
    assert choose_by_mbr(["", "a dog"], utility, 3) == [(1, 50.0), (0, 0.0)]
