"""Beam and greedy search against exhaustive enumeration and against a plain search without stopping."""

import math
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.decoding import Hypothesis, LengthPenalty, beam_search, greedy_search
from translator.decoding import logits as logits_module

module = sys.modules["translator.decoding.beam_search"]

EOS = 2
PENALTIES = [LengthPenalty(kind, alpha) for kind in ("gnmt", "mean") for alpha in (0.0, 0.6, 1.0)]
SOURCE = (7, 8)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@pytest.mark.parametrize(("vocabulary", "limit", "spare"), [(4, 4, 0), (4, 5, 0), (5, 3, 70), (6, 3, 0)])
def test_wide_beam_equals_exhaustive_enumeration(
    table_steps: Any, random_table: Any, penalty: LengthPenalty, vocabulary: int, limit: int, spare: int
) -> None:
    # No step has more candidates than this, so nothing is pruned.
    width = (vocabulary - 1) ** (limit - 1) * vocabulary + spare
    table = random_table(vocabulary, seed=vocabulary * limit)
    expected = sorted(
        (
            (table.log_probability(SOURCE, tokens) / penalty(len(tokens) + 1.0), tokens)
            for tokens in table.sentences(limit)
        ),
        reverse=True,
    )
    (found,) = beam_search(table_steps(table), [SOURCE], [limit], beam_size=width, penalty=penalty, n_best=width)
    assert [hypothesis.tokens for hypothesis in found] == [tokens for _, tokens in expected[:width]]
    assert [hypothesis.score for hypothesis in found] == pytest.approx(
        [score for score, _ in expected[:width]], abs=1e-5
    )


@given(
    seed=st.integers(0, 10_000),
    vocabulary=st.integers(3, 6),
    limit=st.integers(1, 7),
    width=st.integers(2, 5),
    best_only=st.booleans(),
    penalty=st.sampled_from(PENALTIES),
    end_bias=st.sampled_from([-2.0, 0.0, 2.0]),
)
@settings(max_examples=150, deadline=None)
def test_narrow_beam_equals_a_plain_search_without_stopping(
    table_steps: Any,
    random_table: Any,
    plain_beam_search: Any,
    seed: int,
    vocabulary: int,
    limit: int,
    width: int,
    best_only: bool,
    penalty: LengthPenalty,
    end_bias: float,
) -> None:
    table = random_table(vocabulary, seed, end_bias=end_bias)
    count = 1 if best_only else width
    expected = plain_beam_search(table, width, penalty)(SOURCE, limit)[:count]
    (found,) = beam_search(table_steps(table), [SOURCE], [limit], beam_size=width, penalty=penalty, n_best=count)
    assert [hypothesis.tokens for hypothesis in found] == [tokens for _, tokens in expected]
    scores = [hypothesis.score for hypothesis in found]
    assert scores == sorted(scores, reverse=True)
    assert len({hypothesis.tokens for hypothesis in found}) == len(found)
    for hypothesis in found:
        total = table.log_probability(SOURCE, hypothesis.tokens)
        assert hypothesis.log_probability == pytest.approx(total, abs=1e-5)
        assert hypothesis.score == pytest.approx(total / penalty(len(hypothesis.tokens) + 1.0), abs=1e-5)


@given(
    seed=st.integers(0, 10_000),
    vocabulary=st.integers(3, 7),
    limit=st.integers(1, 6),
    groups=st.integers(2, 4),
    size=st.integers(1, 3),
    best_only=st.booleans(),
    penalty=st.sampled_from(PENALTIES),
    diversity_penalty=st.sampled_from([0.0, 0.5, 3.0, 50.0]),
    end_bias=st.sampled_from([-2.0, 0.0, 2.0]),
)
@settings(max_examples=100, deadline=None)
def test_groups_equal_a_plain_search_without_stopping(
    table_steps: Any,
    random_table: Any,
    plain_beam_search: Any,
    seed: int,
    vocabulary: int,
    limit: int,
    groups: int,
    size: int,
    best_only: bool,
    penalty: LengthPenalty,
    diversity_penalty: float,
    end_bias: float,
) -> None:
    table = random_table(vocabulary, seed, end_bias=end_bias)
    width = groups * size
    count = 1 if best_only else width
    expected = plain_beam_search(table, width, penalty, groups, diversity_penalty)(SOURCE, limit)[:count]
    (found,) = beam_search(
        table_steps(table), [SOURCE], [limit],
        beam_size=width, penalty=penalty, n_best=count, groups=groups, diversity_penalty=diversity_penalty,
    )  # fmt: skip
    assert [hypothesis.tokens for hypothesis in found] == [tokens for _, tokens in expected]
    assert [hypothesis.score for hypothesis in found] == pytest.approx([score for score, _ in expected], abs=1e-5)
    for hypothesis in found:
        assert hypothesis.log_probability == pytest.approx(table.log_probability(SOURCE, hypothesis.tokens), abs=1e-5)


def test_groups_begin_with_different_tokens_if_the_penalty_is_large(table_steps: Any) -> None:
    logits = [0.0, -1.0, -9.0, 3.0, 2.0, 1.0]
    step_model = table_steps(lambda _, prefix: logits if not prefix else [-9.0, -9.0, 5.0, 0.0, 0.0, 0.0])
    found = {
        diversity_penalty: beam_search(
            step_model, [SOURCE], [5],
            beam_size=3, penalty=LengthPenalty(), n_best=3, groups=3, diversity_penalty=diversity_penalty,
        )[0]
        for diversity_penalty in (0.0, 1.5, 50.0)
    }  # fmt: skip
    # Without a penalty all groups begin with the same token. With a small one the second group chooses another token,
    # and the third chooses the first again.
    first_pieces = {cost: {hypothesis.tokens[0] for hypothesis in hypotheses} for cost, hypotheses in found.items()}
    assert first_pieces == {0.0: {3}, 1.5: {3, 4}, 50.0: {3, 4, 5}}


def probabilities(*values: float) -> list[float]:
    """Logits of <unk> (never), <s> (never), </s> and tokens 3 and 4."""
    return [math.log(max(value, 1e-30)) for value in (0.0, 0.0, *values)]


def test_search_continues_after_enough_hypotheses_are_complete(table_steps: Any) -> None:
    """Two complete hypotheses fill the beam of two at the second step, but a third one beats them later."""
    table = {
        (): probabilities(0.5, 0.45, 0.05),
        (3,): probabilities(0.5, 0.49, 0.01),
    }
    step_model = table_steps(
        lambda _, prefix: table.get(
            prefix, probabilities(0.01, 0.01, 0.98) if len(prefix) < 6 else probabilities(0.98, 0.01, 0.01)
        )
    )
    penalty = LengthPenalty("mean", 1.0)
    (found,) = beam_search(step_model, [SOURCE], [10], beam_size=2, penalty=penalty)
    assert [hypothesis.tokens for hypothesis in found] == [(3, 3, 4, 4, 4, 4)]
    assert found[0].score > math.log(0.5)


def test_search_stops_when_nothing_better_is_possible(table_steps: Any) -> None:
    step_model = table_steps(lambda _, prefix: probabilities(0.98 if prefix else 0.01, 0.98 - len(prefix), 0.01))
    (found,) = beam_search(step_model, [SOURCE], [50], beam_size=2, penalty=LengthPenalty("gnmt", 0.0))
    assert found[0].tokens == (3,)
    assert step_model.calls == 2


def test_improbable_ending_is_not_offered(table_steps: Any) -> None:
    """The empty translation often has the best score of all; beam search must not choose it for that reason."""
    step_model = table_steps(
        lambda _, prefix: probabilities(*((0.2, 0.4, 0.4) if len(prefix) < 6 else (0.98, 0.01, 0.01)))
    )
    (found,) = beam_search(step_model, [SOURCE], [9], beam_size=2, penalty=LengthPenalty("gnmt", 0.0))
    assert len(found[0].tokens) == 6
    assert found[0].log_probability < math.log(0.2)


@pytest.mark.parametrize("width", [1, 3])
def test_length_limit_ends_every_hypothesis(table_steps: Any, random_table: Any, width: int) -> None:
    table = random_table(5, seed=4, end_bias=-50.0)
    sources = [(3,), (4,), (5,)]
    limits = [2, 5, 1]
    penalty = LengthPenalty()
    found = search(table_steps(table), sources, limits, width, penalty)
    assert [len(hypothesis.tokens) for hypothesis in found] == limits
    for source, hypothesis in zip(sources, found, strict=True):
        total = table.log_probability(source, hypothesis.tokens)
        assert hypothesis.log_probability == pytest.approx(total, rel=1e-5)


@given(
    seed=st.integers(0, 10_000),
    order=st.permutations(range(6)),
    size=st.integers(1, 6),
    width=st.integers(1, 4),
    groups=st.sampled_from([1, 2]),
    penalty=st.sampled_from(PENALTIES),
)
@settings(max_examples=60, deadline=None)
def test_other_sentences_do_not_matter(
    table_steps: Any,
    random_table: Any,
    seed: int,
    order: list[int],
    size: int,
    width: int,
    groups: int,
    penalty: LengthPenalty,
) -> None:
    width *= groups
    table = random_table(5, seed)
    sources = [(index, index) for index in order[:size]]
    limits = [1 + index for index in order[:size]]
    together = search(table_steps(table), sources, limits, width, penalty, groups)
    for source, limit, hypothesis in zip(sources, limits, together, strict=True):
        (alone,) = search(table_steps(table), [source], [limit], width, penalty, groups)
        assert alone.tokens == hypothesis.tokens
        # Matrix products of another shape may round differently.
        assert alone.log_probability == pytest.approx(hypothesis.log_probability, abs=1e-5)


@given(seed=st.integers(0, 10_000), limit=st.integers(1, 6), end_bias=st.sampled_from([-1.0, 1.0]))
@settings(max_examples=60, deadline=None)
def test_greedy_follows_the_most_probable_token(
    table_steps: Any, random_table: Any, seed: int, limit: int, end_bias: float
) -> None:
    table = random_table(6, seed, end_bias=end_bias)
    expected: tuple[int, ...] = ()
    while len(expected) < limit:
        logits = table(SOURCE, expected)
        piece = logits.index(max(logits))
        if piece == EOS:
            break
        expected = (*expected, piece)
    penalty = LengthPenalty("mean", 0.5)
    (found,) = greedy_search(table_steps(table), [SOURCE], [limit], penalty=penalty)
    assert found is not None
    assert found.tokens == expected
    assert found.log_probability == pytest.approx(table.log_probability(SOURCE, expected), abs=1e-5)
    assert found.score == pytest.approx(found.log_probability / penalty(len(expected) + 1.0), abs=1e-5)
    (unscored,) = greedy_search(table_steps(table), [SOURCE], [limit])
    assert unscored is not None and unscored.tokens == expected
    assert math.isnan(unscored.score)


@pytest.mark.parametrize("width", [1, 2])
def test_finished_sentences_leave_the_batch(table_steps: Any, width: int) -> None:
    seen: list[tuple[int, ...]] = []

    def logits(source: tuple[int, ...], prefix: tuple[int, ...]) -> list[float]:
        seen.append(source)
        return probabilities(*((0.98, 0.01, 0.01) if len(prefix) >= source[0] else (0.0, 0.9, 0.1)))

    found = search(table_steps(logits), [(1,), (4,)], [20, 20], width, LengthPenalty("gnmt", 0.0))
    assert [hypothesis.tokens for hypothesis in found] == [(3,), (3, 3, 3, 3)]
    # One hypothesis at the first step, `width` hypotheses at all others.
    assert seen.count((1,)) == 1 + width
    assert seen.count((4,)) == 1 + 4 * width


@pytest.mark.parametrize("at_once", [1, 1 << 24])
def test_the_vocabulary_step_of_gpus_finds_the_same(
    table_steps: Any, random_table: Any, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one part and in many, with a limit that forces the end, and without a copy of the logits to overwrite."""
    step_model = table_steps(random_table(1600, seed=3, spread=3.0, end_bias=4.0))
    sources, limits, penalty = [(7, 8), (3,), (4, 4, 4)], [3, 6, 1], LengthPenalty()
    expected = beam_search(step_model, sources, limits, beam_size=4, penalty=penalty, n_best=3)
    monkeypatch.setattr(module, "_is_read_once", lambda logits: True)
    monkeypatch.setattr(logits_module, "_AT_ONCE", at_once)
    monkeypatch.setattr(module, "logsumexp", None)
    found = beam_search(step_model, sources, limits, beam_size=4, penalty=penalty, n_best=3)
    for mine, others in zip(found, expected, strict=True):
        assert [each.tokens for each in mine] == [each.tokens for each in others]
        assert [each.score for each in mine] == pytest.approx([each.score for each in others], rel=1e-6)


def test_nan_logits_yield_no_hypothesis(table_steps: Any) -> None:
    step_model = table_steps(lambda source, _: [math.nan] * 5 if source == (3,) else probabilities(0.9, 0.05, 0.05))
    broken, sound = beam_search(step_model, [(3,), (4,)], [3, 3], beam_size=2, penalty=LengthPenalty())
    assert broken == []
    assert sound[0].tokens == ()


def test_nan_logits_yield_no_greedy_hypothesis(table_steps: Any) -> None:
    step_model = table_steps(lambda source, _: [math.nan] * 5 if source == (3,) else probabilities(0.9, 0.05, 0.05))
    for penalty in (None, LengthPenalty()):
        broken, sound = greedy_search(step_model, [(3,), (4,)], [3, 3], penalty=penalty)
        assert broken is None
        assert sound is not None and sound.tokens == ()


def test_no_sources_yield_no_hypotheses(table_steps: Any) -> None:
    step_model = table_steps(lambda *_: [])
    assert beam_search(step_model, [], [], beam_size=2, penalty=LengthPenalty()) == []
    assert greedy_search(step_model, [], []) == []


def search(
    step_model: Any,
    sources: Sequence[tuple[int, ...]],
    limits: list[int],
    width: int,
    penalty: LengthPenalty,
    groups: int = 1,
) -> list[Hypothesis]:
    if width == 1:
        return [found for found in greedy_search(step_model, sources, limits, penalty=penalty) if found is not None]
    found = beam_search(
        step_model, sources, limits, beam_size=width, penalty=penalty, groups=groups, diversity_penalty=0.7
    )
    return [hypotheses[0] for hypotheses in found]
