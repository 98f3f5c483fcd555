"""Searches with rules against an enumeration of all sentences that obey them, and against a plain search."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.decoding import Hypothesis, LengthPenalty, beam_search, greedy_search, sample_search
from translator.decoding.constraints.automata import BannedText, TokenBytes
from translator.decoding.constraints.rules import Rules
from translator.errors import ConfigError

EOS = 2
SOURCE = (7, 8)
PENALTIES = [LengthPenalty(kind, alpha) for kind in ("gnmt", "mean") for alpha in (0.0, 0.6, 1.0)]
# The last one spells the same as "b", as a byte.
PIECES = ["<unk>", "<s>", "</s>", "▁a", "b", "▁ab", "<0x62>"]
SPELLING = (b"", b"", b"", b" a", b"b", b" ab", b"b")
TOKEN_BYTES = TokenBytes(PIECES, silent=[0, 1, 2])

pieces = st.sampled_from([0, 3, 4, 5, 6])
descriptions = st.fixed_dictionaries(
    {
        "prefix": st.lists(pieces, max_size=2).map(tuple),
        "banned": st.lists(st.sampled_from(["a", "ab", "abb", "a a", "b", "bb a"]), max_size=2).map(tuple),
        "required": st.lists(st.lists(pieces, min_size=1, max_size=2).map(tuple), max_size=2).map(tuple),
        "block_ngrams": st.integers(0, 2),
        "repetition_penalty": st.sampled_from([0.0, 0.8]),
        "minimum": st.integers(0, 3),
        "never": st.sampled_from([frozenset(), frozenset({0, 1}), frozenset({4})]),
    }
).map(lambda description: drop_bans(description))


def drop_bans(description: dict[str, Any]) -> dict[str, Any]:
    """Keep at most one ban if phrases are required, so that some sentences obey all rules."""
    if description["required"] and len(description["banned"]) > 1:
        description["banned"] = description["banned"][:1]
    return description


def rules_of(description: dict[str, Any]) -> Rules:
    banned = description["banned"]
    return Rules(EOS, **{**description, "banned": BannedText(TOKEN_BYTES, banned) if banned else None})


@given(
    seed=st.integers(0, 10_000),
    limit=st.integers(1, 3),
    penalty=st.sampled_from(PENALTIES),
    description=descriptions,
)
@settings(max_examples=100, deadline=None)
def test_wide_beam_equals_enumeration_of_what_obeys_the_rules(
    table_steps: Any,
    random_table: Any,
    plain_rules: Any,
    seed: int,
    limit: int,
    penalty: LengthPenalty,
    description: dict[str, Any],
) -> None:
    table, plain = random_table(len(PIECES), seed), plain_rules(SPELLING, **description)
    width = (table.vocabulary - 1) ** (limit - 1) * table.vocabulary
    expected = sorted(
        (
            ((table.log_probability(SOURCE, tokens) - plain.charge(tokens)) / penalty(len(tokens) + 1.0), tokens)
            for tokens in table.sentences(limit)
            if plain.obeyed_by(tokens)
        ),
        reverse=True,
    )
    (found,) = beam_search(
        table_steps(table), [SOURCE], [limit],
        beam_size=width, penalty=penalty, n_best=1000, rules=[rules_of(description)],
    )  # fmt: skip
    assert [hypothesis.tokens for hypothesis in found] == [tokens for _, tokens in expected]
    for hypothesis, (score, tokens) in zip(found, expected, strict=True):
        assert hypothesis.score == pytest.approx(score, abs=1e-5)
        assert hypothesis.log_probability == pytest.approx(table.log_probability(SOURCE, tokens), abs=1e-5)


@given(
    seed=st.integers(0, 10_000),
    limit=st.integers(1, 7),
    size=st.integers(1, 4),
    groups=st.sampled_from([1, 1, 2]),
    best_only=st.booleans(),
    penalty=st.sampled_from(PENALTIES),
    end_bias=st.sampled_from([-2.0, 0.0, 2.0]),
    description=descriptions,
)
@settings(max_examples=200, deadline=None)
def test_narrow_beam_equals_a_plain_search_without_stopping(
    table_steps: Any,
    random_table: Any,
    plain_rules: Any,
    plain_beam_search: Any,
    seed: int,
    limit: int,
    size: int,
    groups: int,
    best_only: bool,
    penalty: LengthPenalty,
    end_bias: float,
    description: dict[str, Any],
) -> None:
    table, plain = random_table(len(PIECES), seed, end_bias=end_bias), plain_rules(SPELLING, **description)
    width = size * groups
    count = 1 if best_only else width
    expected = plain_beam_search(table, width, penalty, groups, 0.7, plain)(SOURCE, limit)[:count]
    (found,) = beam_search(
        table_steps(table), [SOURCE], [limit],
        beam_size=width, penalty=penalty, n_best=count, groups=groups, diversity_penalty=0.7,
        rules=[rules_of(description)],
    )  # fmt: skip
    assert [hypothesis.tokens for hypothesis in found] == [tokens for _, tokens in expected]
    assert [hypothesis.score for hypothesis in found] == pytest.approx([score for score, _ in expected], abs=1e-5)
    for hypothesis in found:
        total = table.log_probability(SOURCE, hypothesis.tokens)
        assert hypothesis.log_probability == pytest.approx(total, abs=1e-5)


METHODS = ["greedy", "beam", "groups", "sampling"]


def search_all(
    method: str, step_model: Any, sources: Sequence[Sequence[int]], limits: Sequence[int], rules: Sequence[Rules]
) -> list[list[Hypothesis]]:
    penalty = LengthPenalty()
    if method == "greedy":
        found = greedy_search(step_model, sources, limits, penalty=penalty, rules=rules)
        return [[hypothesis] if hypothesis else [] for hypothesis in found]
    if method == "sampling":
        seeds = [source[0] for source in sources]
        return sample_search(step_model, sources, limits, samples=3, seeds=seeds, penalty=penalty, rules=rules)
    groups = 2 if method == "groups" else 1
    return beam_search(step_model, sources, limits, beam_size=4, penalty=penalty, n_best=2, groups=groups, rules=rules)


@pytest.mark.parametrize("method", METHODS)
@given(
    seed=st.integers(0, 10_000),
    order=st.permutations(range(5)),
    size=st.integers(1, 5),
    described=st.lists(st.one_of(st.just({"banned": (), "required": ()}), descriptions), min_size=5, max_size=5),
)
@settings(max_examples=40, deadline=None)
def test_other_sentences_and_their_rules_do_not_matter(
    table_steps: Any,
    random_table: Any,
    plain_rules: Any,
    method: str,
    seed: int,
    order: list[int],
    size: int,
    described: list[dict[str, Any]],
) -> None:
    table = random_table(len(PIECES), seed)
    if method in ("greedy", "sampling"):
        described = [{**description, "required": ()} for description in described]
    sources = [(index, index) for index in order[:size]]
    limits = [1 + index for index in order[:size]]
    rules = [rules_of(described[index]) for index in order[:size]]
    together = search_all(method, table_steps(table), sources, limits, rules)
    for source, limit, rule, found in zip(sources, limits, rules, together, strict=True):
        (alone,) = search_all(method, table_steps(table), [source], [limit], [rule])
        assert [hypothesis.tokens for hypothesis in alone] == [hypothesis.tokens for hypothesis in found]
        plain = plain_rules(SPELLING, **described[source[0]])
        for one, other in zip(alone, found, strict=True):
            total = table.log_probability(source, one.tokens)
            assert one.log_probability == pytest.approx(total, abs=1e-5)
            assert other.log_probability == pytest.approx(total, abs=1e-5)
            score = (total - plain.charge(one.tokens)) / LengthPenalty()(len(one.tokens) + 1.0)
            assert one.score == pytest.approx(score, abs=1e-5)
            assert len(one.tokens) <= limit
            assert plain.obeyed_by(one.tokens)


def uniform(_: object, __: object) -> list[float]:
    return [-9.0, -9.0, 1.0, 0.0, 0.0, 0.0, 0.0]


IMPOSSIBLE = [
    Rules(EOS, minimum=4),
    Rules(EOS, prefix=(3, 3, 3, 3)),
    Rules(EOS, never=frozenset(range(7))),
    Rules(EOS, minimum=3, block_ngrams=1, never=frozenset({0, 1, 3, 4})),
]
IMPOSSIBLE_TO_COMPLETE = [
    Rules(EOS, required=((3, 4), (5, 6))),
    Rules(EOS, required=((3, 3),), never=frozenset({3})),
]


@pytest.mark.parametrize(
    ("method", "rules"),
    [
        *itertools.product(METHODS, IMPOSSIBLE),
        *itertools.product(["beam", "groups"], IMPOSSIBLE_TO_COMPLETE),
    ],
    ids=str,
)
def test_rules_that_allow_nothing_yield_nothing_and_do_not_affect_other_sentences(
    table_steps: Any, method: str, rules: Rules
) -> None:
    impossible, possible = search_all(method, table_steps(uniform), [(3,), (4,)], [3, 3], [rules, Rules(EOS)])
    assert impossible == []
    assert possible


@pytest.mark.parametrize("method", ["greedy", "sampling"])
def test_greedy_search_and_sampling_refuse_required_phrases(table_steps: Any, method: str) -> None:
    step_model = table_steps(uniform)
    with pytest.raises(ConfigError, match="greedy search and sampling cannot place required phrases; use beam search"):
        search_all(method, step_model, [SOURCE, SOURCE], [5, 5], [Rules(EOS), Rules(EOS, required=((3,),))])
    assert step_model.calls == 0


@pytest.mark.parametrize("method", ["beam", "groups"])
def test_required_phrases_that_just_fit_are_found(table_steps: Any, method: str) -> None:
    """The model finds them improbable, and the limit leaves no room for anything else."""
    step_model = table_steps(lambda *_: [0.0, 0.0, 9.0, -20.0, -20.0, -20.0, -20.0])
    rules = [Rules(EOS, required=((3, 4), (5, 6, 5)))]
    (found,) = search_all(method, step_model, [SOURCE], [5], rules)
    assert {hypothesis.tokens for hypothesis in found} <= {(3, 4, 5, 6, 5), (5, 6, 5, 3, 4)}
    assert found


def test_overlapping_phrases_share_pieces(table_steps: Any) -> None:
    rules = [Rules(EOS, required=((3, 4), (4, 5), (4,)))]
    (found,) = beam_search(
        table_steps(uniform), [SOURCE], [3], beam_size=2, penalty=LengthPenalty(), n_best=2, rules=rules
    )
    assert [hypothesis.tokens for hypothesis in found] == [(3, 4, 5)]


def test_narrow_beam_puts_a_required_phrase_where_the_model_prefers_it(table_steps: Any) -> None:
    """The phrase is improbable everywhere, least so after three tokens, when an ordinary beam would have lost it."""

    def logits(_: object, prefix: tuple[int, ...]) -> list[float]:
        if prefix[-1:] == (5,):
            return [-30.0, -30.0, -30.0, -30.0, -30.0, -30.0, 0.0]
        likes_it = len(prefix) == 3 and 5 not in prefix
        return [-30.0, -30.0, 0.0 if len(prefix) >= 6 else -30.0, 0.0, -1.0, -4.0 if likes_it else -8.0, -30.0]

    rules = [Rules(EOS, required=((5, 6),))]
    (found,) = beam_search(table_steps(logits), [SOURCE], [12], beam_size=4, penalty=LengthPenalty(), rules=rules)
    assert found[0].tokens == (3, 3, 3, 5, 6, 3)


def test_a_prefix_counts_in_the_log_probability_and_may_contain_banned_text(
    table_steps: Any, random_table: Any
) -> None:
    table = random_table(7, seed=3)
    rules = Rules(EOS, prefix=(5, 5), banned=BannedText(TOKEN_BYTES, ["ab"]), block_ngrams=1, repetition_penalty=1.0)
    for method in ("greedy", "beam", "sampling"):
        (found,) = search_all(method, table_steps(table), [SOURCE], [6], [rules])
        for hypothesis in found:
            assert hypothesis.tokens[:2] == (5, 5)
            assert 5 not in hypothesis.tokens[2:]
            total = table.log_probability(SOURCE, hypothesis.tokens)
            assert hypothesis.log_probability == pytest.approx(total, abs=1e-5)
            score = total / LengthPenalty()(len(hypothesis.tokens) + 1.0)
            assert hypothesis.score == pytest.approx(score, abs=1e-5)


def test_a_prefix_needs_one_hypothesis_per_step(table_steps: Any) -> None:
    seen = []

    def logits(_: object, prefix: tuple[int, ...]) -> list[float]:
        seen.append(prefix)
        return uniform(_, prefix)

    prefix = (3, 4, 5)
    beam_search(
        table_steps(logits), [SOURCE], [4], beam_size=4, penalty=LengthPenalty(), rules=[Rules(EOS, prefix=prefix)]
    )
    assert [given for given in seen if len(given) <= len(prefix)] == [prefix[:length] for length in range(4)]


def test_empty_rules_are_not_tracked(table_steps: Any, random_table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the rules were applied")

    monkeypatch.setattr(Rules, "start", refuse)
    table = random_table(7, seed=3)
    for method in METHODS:
        assert search_all(method, table_steps(table), [SOURCE], [4], [Rules(EOS)])[0]
    assert not Rules(EOS, minimum=1).is_empty
    with pytest.raises(AssertionError, match="the rules were applied"):
        search_all("beam", table_steps(table), [SOURCE], [4], [Rules(EOS, minimum=1)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prefix": (3, EOS)}, "a prefix contains the end token"),
        ({"required": ((3,), ())}, "a required phrase is empty"),
        ({"required": ((3, EOS),)}, "a required phrase contains the end token"),
    ],
)
def test_invalid_rules_are_errors(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Rules(EOS, **arguments)


def test_nan_logits_yield_nothing_with_rules(table_steps: Any) -> None:
    step_model = table_steps(lambda source, _: [math.nan] * 7 if source == (3,) else uniform(None, None))
    for method in METHODS:
        broken, sound = search_all(method, step_model, [(3,), (4,)], [3, 3], [Rules(EOS, minimum=1)] * 2)
        assert broken == []
        assert sound
