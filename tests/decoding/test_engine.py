"""Batches of many sentences: their size, their order, and independence of the other sentences."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.config import DecodingSettings
from translator.decoding import token_batches, translate_ids
from translator.decoding.engine import NativeEngine, even_budget
from translator.decoding.hypothesis import Request


@given(lengths=st.lists(st.integers(1, 50), max_size=40), budget=st.integers(1, 120))
def test_token_batches_hold_everything_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = list(token_batches(lengths, budget))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or sum(lengths[index] for index in batch) <= budget
    flat = [lengths[index] for batch in batches for index in batch]
    assert flat == sorted(flat, reverse=True)


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=60), budget=st.integers(1, 120), workers=st.integers(1, 4)
)
def test_workers_get_about_the_same_amount_of_work(lengths: list[int], budget: int, workers: int) -> None:
    even = even_budget(lengths, budget, workers)
    assert even <= budget
    batches = list(token_batches(lengths, even))
    if workers == 1:
        assert even == budget
    elif budget > max(lengths):
        rounds = math.ceil(sum(lengths) / (budget - max(lengths)) / workers)
        assert len(batches) <= rounds * workers
        share = math.ceil(sum(lengths) / (rounds * workers))
        assert max(sum(lengths[index] for index in batch) for batch in batches) < share + max(lengths)


@given(
    sources=st.lists(st.lists(st.integers(3, 5), max_size=4), max_size=8),
    beam_size=st.integers(1, 3),
    batch_tokens=st.integers(1, 60),
)
@settings(max_examples=60, deadline=None)
def test_a_sentence_has_the_same_translation_in_any_batch(
    table_steps: Any, random_table: Any, sources: list[list[int]], beam_size: int, batch_tokens: int
) -> None:
    step_model = table_steps(random_table(6, seed=1))
    decoding = DecodingSettings(beam_size=beam_size, batch_tokens=batch_tokens, max_length_extra=2)
    together = translate_ids(step_model, sources, decoding)
    assert together == [translate_ids(step_model, [source], decoding)[0] for source in sources]
    assert together[::-1] == translate_ids(step_model, sources[::-1], decoding)


def test_empty_sources_never_reach_the_model(table_steps: Any) -> None:
    def refuse(source: tuple[int, ...], prefix: tuple[int, ...]) -> list[float]:
        raise AssertionError("the model was called")

    assert translate_ids(table_steps(refuse), [[], []], DecodingSettings()) == [[], []]


def test_length_limits_follow_the_settings(table_steps: Any, random_table: Any) -> None:
    step_model = table_steps(random_table(6, seed=1, end_bias=-50.0))
    decoding = DecodingSettings(beam_size=2, max_length_factor=1.5, max_length_extra=2)
    assert [len(ids) for ids in translate_ids(step_model, [[3], [3, 4, 5]], decoding)] == [3, 6]
    step_model.max_length = 4
    assert [len(ids) for ids in translate_ids(step_model, [[3], [3, 4, 5]], decoding)] == [3, 4]


@pytest.mark.parametrize("search", [{"beam_size": 2}, {"beam_size": 1}, {"search": "sampling"}])
def test_the_limit_of_the_settings_is_for_what_follows_a_prefix(
    table_steps: Any, random_table: Any, search: dict[str, Any]
) -> None:
    step_model = table_steps(random_table(6, seed=1, end_bias=-50.0))
    engine = NativeEngine(step_model)
    decoding = DecodingSettings.model_validate({"max_length_factor": 1.0, "max_length_extra": 1, **search})
    prefix = (4, 5, 4, 3, 5)
    ((found,),) = engine.search([Request((3,), prefix)], decoding)
    assert found.tokens[:5] == prefix and len(found.tokens) == 7
    # The model's own limit is for all of it.
    step_model.max_length = engine.longest_source = 6
    ((found,),) = engine.search([Request((3,), prefix)], decoding)
    assert found.tokens[:5] == prefix and len(found.tokens) == 6
    step_model.max_length = engine.longest_source = 4
    assert engine.search([Request((3,), prefix)], decoding) == [[]]
