"""Sampling: what is drawn, how often, and that it depends only on the seed and the sentence."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.decoding import LengthPenalty, sample_search, seed_of_source
from translator.decoding import sampling as module

EOS = 2
SOURCE = (7, 8)
PENALTY = LengthPenalty("mean", 0.6)


def distribution(
    table: Any, limit: int, temperature: float, top_k: int, top_p: float
) -> Iterator[tuple[tuple[int, ...], float]]:
    """All sentences that can be drawn, with their probabilities, by enumeration."""

    def visit(prefix: tuple[int, ...], probability: float) -> Iterator[tuple[tuple[int, ...], float]]:
        logits = table(SOURCE, prefix)
        weights = {piece: math.exp(logit / temperature) for piece, logit in enumerate(logits)}
        ordered = sorted(weights, key=lambda piece: -weights[piece])
        total, mass, kept = sum(weights.values()), 0.0, []
        for piece in ordered[: top_k or len(ordered)]:
            if mass >= top_p * total:
                break
            kept.append(piece)
            mass += weights[piece]
        if len(prefix) == limit:
            yield prefix, probability
            return
        for piece in kept:
            share = probability * weights[piece] / mass
            if piece == EOS:
                yield prefix, share
            else:
                yield from visit((*prefix, piece), share)

    return visit((), 1.0)


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(1.0, 0, 1.0), (0.5, 0, 1.0), (2.0, 0, 1.0), (1.0, 2, 1.0), (1.0, 0, 0.7), (1.5, 3, 0.8), (1.0, 100, 0.999)],
)
def test_sentences_are_drawn_as_often_as_they_are_probable(
    table_steps: Any, random_table: Any, temperature: float, top_k: int, top_p: float
) -> None:
    count, limit = 4000, 3
    table = random_table(5, seed=5, spread=1.0)
    expected = dict(distribution(table, limit, temperature, top_k, top_p))
    assert sum(expected.values()) == pytest.approx(1.0)
    (found,) = sample_search(
        table_steps(table), [SOURCE], [limit],
        samples=count, seeds=[11], penalty=PENALTY, temperature=temperature, top_k=top_k, top_p=top_p,
    )  # fmt: skip
    assert len(found) == count
    drawn = Counter(hypothesis.tokens for hypothesis in found)
    assert drawn.keys() <= expected.keys()
    deviation = sum((drawn[tokens] - count * share) ** 2 / (count * share) for tokens, share in expected.items())
    freedom = len(expected) - 1
    # Chi-square: mean `freedom`, variance twice that.
    assert deviation < freedom + 4 * math.sqrt(2 * freedom)
    for tokens in drawn:
        total = table.log_probability(SOURCE, tokens)
        (first, *_) = (hypothesis for hypothesis in found if hypothesis.tokens == tokens)
        assert first.log_probability == pytest.approx(total, abs=1e-5)
        assert first.score == pytest.approx(total / PENALTY(len(tokens) + 1.0), abs=1e-5)


def test_tokens_of_a_large_vocabulary_are_drawn_as_often_as_they_are_probable(table_steps: Any) -> None:
    """The vocabulary is larger than a block, and not a whole number of blocks."""
    vocabulary, count = 150, 20_000
    logits = [math.sin(7.0 * piece) * 3.0 for piece in range(vocabulary)]
    logits[EOS] = -40.0
    (found,) = sample_search(table_steps(lambda *_: logits), [SOURCE], [1], samples=count, seeds=[3], penalty=PENALTY)
    drawn = Counter(hypothesis.tokens[0] for hypothesis in found)
    total = sum(map(math.exp, logits))
    shares = {piece: math.exp(logit) / total for piece, logit in enumerate(logits) if piece != EOS}
    deviation = sum((drawn[piece] - count * share) ** 2 / (count * share) for piece, share in shares.items())
    assert deviation < vocabulary + 4 * math.sqrt(2 * vocabulary)


@given(
    seed=st.integers(0, 10_000),
    order=st.permutations(range(6)),
    size=st.integers(1, 6),
    samples=st.integers(1, 5),
    temperature=st.sampled_from([0.5, 1.0, 3.0]),
    top_k=st.sampled_from([0, 2]),
    top_p=st.sampled_from([0.6, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_other_sentences_do_not_matter(
    table_steps: Any,
    random_table: Any,
    seed: int,
    order: list[int],
    size: int,
    samples: int,
    temperature: float,
    top_k: int,
    top_p: float,
) -> None:
    table = random_table(5, seed)
    sources = [(index, index) for index in order[:size]]
    limits = [1 + index for index in order[:size]]
    filters = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "penalty": PENALTY, "samples": samples}
    seeds = [seed_of_source(seed, source) for source in sources]
    together = sample_search(table_steps(table), sources, limits, seeds=seeds, **filters)
    for source, limit, number, found in zip(sources, limits, seeds, together, strict=True):
        (alone,) = sample_search(table_steps(table), [source], [limit], seeds=[number], **filters)
        assert [hypothesis.tokens for hypothesis in alone] == [hypothesis.tokens for hypothesis in found]
        assert len(found) == samples
        for one, other in zip(alone, found, strict=True):
            total = table.log_probability(source, one.tokens)
            assert one.log_probability == pytest.approx(total, abs=1e-5)
            assert other.log_probability == pytest.approx(total, abs=1e-5)


def test_fewer_samples_are_the_first_of_more(table_steps: Any, random_table: Any) -> None:
    table = random_table(6, seed=2, spread=1.0)
    few, more = (
        sample_search(table_steps(table), [SOURCE], [4], samples=samples, seeds=[1], penalty=PENALTY)[0]
        for samples in (3, 12)
    )
    assert [hypothesis.tokens for hypothesis in few] == [hypothesis.tokens for hypothesis in more[:3]]
    (other,) = sample_search(table_steps(table), [SOURCE], [4], samples=12, seeds=[2], penalty=PENALTY)
    assert [hypothesis.tokens for hypothesis in other] != [hypothesis.tokens for hypothesis in more]


def test_seed_of_a_source_is_fixed() -> None:
    assert seed_of_source(1, [3, 4, 5]) == seed_of_source(1, (3, 4, 5)) == 8734540059473623372
    seeds = [(1, [3, 4]), (1, [34]), (1, [4, 3]), (2, [3, 4]), (13, [4]), (1, [])]
    assert len({seed_of_source(*arguments) for arguments in seeds}) == len(seeds)


def test_finished_samples_and_sentences_cost_nothing(table_steps: Any) -> None:
    """The samples of the first source end one after the other, those of the second all at their limit."""
    seen: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def logits(source: tuple[int, ...], prefix: tuple[int, ...]) -> list[float]:
        seen.append((source, prefix))
        return [-50.0, -50.0, 0.0 if source == (5,) else -50.0, 0.0, -50.0]

    samples = 16
    found = sample_search(table_steps(logits), [(5,), (6,)], [30, 3], samples=samples, seeds=[1, 2], penalty=PENALTY)
    assert [len(hypothesis.tokens) for hypothesis in found[1]] == [3] * samples
    assert sum(source == (6,) for source, _ in seen) == 1 + 3 * samples
    lengths = [len(hypothesis.tokens) for hypothesis in found[0]]
    assert len(set(lengths)) > 3
    calls = Counter(len(prefix) for source, prefix in seen if source == (5,))
    assert max(calls) == max(lengths)
    for length, rows in calls.items():
        active = sum(other >= length for other in lengths)
        assert length < 4 or active <= rows <= max(1, active / 0.75)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_nucleus_is_the_same_however_few_tokens_are_tried_first(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 40))
    weights = torch.tensor(data.draw(st.lists(st.lists(st.integers(0, 30), min_size=size, max_size=size), min_size=1)))
    weights = weights.float()
    mass = weights.sum(-1, keepdim=True).double() * data.draw(st.floats(0.01, 1.0))
    expected = []
    for row, least in zip(weights.tolist(), mass.flatten().tolist(), strict=True):
        total = 0.0
        for weight in sorted(row, reverse=True):
            total += weight
            if total >= least:
                break
        expected.append([weight])
    for count in (1, 3, 100):
        assert module._least_of_nucleus(weights, mass, count).tolist() == expected


def test_nan_logits_yield_no_sample(table_steps: Any) -> None:
    step_model = table_steps(lambda source, _: [math.nan] * 5 if source == (3,) else [-9.0, -9.0, 2.0, 0.0, 0.0])
    broken, sound = sample_search(step_model, [(3,), (4,)], [3, 3], samples=2, seeds=[1, 1], penalty=PENALTY)
    assert broken == []
    assert len(sound) == 2
    assert sample_search(step_model, [], [], samples=2, seeds=[], penalty=PENALTY) == []
