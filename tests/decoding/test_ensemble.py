"""Several step models that search as one."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.checkpoints import load_bundle
from translator.config import DecodingSettings
from translator.decoding import NativeEngine, Request
from translator.decoding.ensemble import EnsembleStepModel, check_ensemble, join_step_models
from translator.errors import ConfigError
from translator.model import build_model
from translator.text import Tokenizer, TokenizerPair

Table = Callable[[tuple[int, ...], tuple[int, ...]], list[float]]
REQUESTS = [Request((3,)), Request((4, 5, 3)), Request((5, 5))]


def averaged(tables: Sequence[Table]) -> Table:
    """The table whose probabilities are the means of those of `tables`."""

    def logits(source: tuple[int, ...], prefix: tuple[int, ...]) -> list[float]:
        rows = [torch.tensor(table(source, prefix), dtype=torch.float64).softmax(0) for table in tables]
        return (sum(rows) / len(rows)).log().tolist()  # type: ignore[union-attr]

    return logits


@given(seed=st.integers(0, 50), members=st.integers(1, 3), beam_size=st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_members_are_averaged(table_steps: Any, random_table: Any, seed: int, members: int, beam_size: int) -> None:
    tables = [random_table(7, seed=seed + 100 * member) for member in range(members)]
    ensemble, one = EnsembleStepModel([table_steps(table) for table in tables]), table_steps(averaged(tables))
    decoding = DecodingSettings(beam_size=beam_size, n_best=beam_size, max_length_factor=0, max_length_extra=3)
    found, expected = (NativeEngine(step_model).search(REQUESTS, decoding) for step_model in (ensemble, one))
    assert [[each.tokens for each in row] for row in found] == [[each.tokens for each in row] for row in expected]
    for left, right in zip(sum(found, []), sum(expected, []), strict=True):
        assert left.log_probability == pytest.approx(right.log_probability, abs=1e-5)


def test_the_mean_is_of_probabilities(table_steps: Any) -> None:
    """The mean of (0.9, 0.1) and (0.2, 0.8) is (0.55, 0.45); a product would prefer the second token."""
    tables = [[-99.0, -99.0, -99.0, math.log(p), math.log(1 - p)] for p in (0.9, 0.2)]
    ensemble = EnsembleStepModel([table_steps(lambda *_, row=row: row) for row in tables])
    logits = ensemble.step(torch.tensor([[1]]), ensemble.start([[3]], 1, 1))
    assert logits.exp()[0, 0].tolist() == pytest.approx([0, 0, 0, 0.55, 0.45], abs=1e-6)


def test_a_token_that_is_improbable_in_all_members_stays_possible(table_steps: Any) -> None:
    """exp(-120) is 0 in fp32, and a search could not continue with the logarithm of 0."""
    ensemble = EnsembleStepModel([table_steps(lambda *_: [0.0, 0.0, 0.0, -120.0]) for _ in range(2)])
    logits = ensemble.step(torch.tensor([[1]]), ensemble.start([[3]], 1, 1))
    assert logits[0, 0, 3].item() == pytest.approx(-120 - math.log(3), abs=1e-4)


def test_the_shortest_member_limits_all(table_steps: Any, random_table: Any) -> None:
    members = [table_steps(random_table(7, seed=member, end_bias=-50.0)) for member in range(3)]
    assert EnsembleStepModel(members).max_length is None
    members[1].max_length, members[2].max_length = 5, 3
    ensemble = EnsembleStepModel(members)
    assert ensemble.max_length == 3
    found = NativeEngine(ensemble).search([Request((3, 4))], DecodingSettings(beam_size=2))
    assert len(found[0][0].tokens) == 3


@pytest.fixture(scope="module")
def bundles(tiny_run: Path) -> list[Any]:
    """The tiny run, and one of another shape with the same vocabulary."""
    first = load_bundle(tiny_run, device="cpu")
    settings = first.config.model.model_copy(update={"d_model": 24, "norm": "pre", "max_positions": 40})
    pieces = first.tokenizers.source.vocab_size
    model = build_model(settings, pieces, pieces, seed=5).eval()
    config = first.config.model_copy(update={"model": settings})
    return [first, dataclasses.replace(first, directory=Path("other"), config=config, model=model)]


@pytest.mark.parametrize("beam_size", [1, 3])
def test_runs_of_different_shape_translate_together(bundles: list[Any], beam_size: int) -> None:
    ensemble = join_step_models(bundles)
    assert ensemble.max_length == 39
    decoding = DecodingSettings(beam_size=beam_size, max_length_extra=4)
    requests = [Request((5, 6, 7, 8)), Request((9,)), Request((30, 31, 5, 6, 7, 7))]
    together = NativeEngine(ensemble).search(requests, decoding)
    alone = [NativeEngine(join_step_models([bundle])).search(requests, decoding) for bundle in bundles]
    native = NativeEngine(ensemble.members[0]).search(requests, decoding)
    tokens = [[row[0].tokens for row in found] for found in (together, *alone, native)]
    assert tokens[1] == tokens[3] != tokens[2]
    assert tokens[0] == [NativeEngine(ensemble).search([one], decoding)[0][0].tokens for one in requests]


def test_every_run_that_does_not_fit_the_first_is_named(bundles: list[Any], tmp_path: Path) -> None:
    first, other = bundles
    strange: Any = Tokenizer.__new__(Tokenizer)
    strange.model, strange.vocabulary = b"other", None
    tokenizers = TokenizerPair(first.tokenizers.source, strange, False)
    tagged = other.config.model_copy(update={"data": other.config.data.model_copy(update={"language_tags": True})})
    foreign = dataclasses.replace(other, directory=Path("foreign"), tokenizers=tokenizers, config=tagged)
    half = dataclasses.replace(other, machine=dataclasses.replace(other.machine, precision="bf16"))
    with pytest.raises(ConfigError) as caught:
        check_ensemble([first, half, bundles[1], foreign])
    assert len(caught.value.problems) == 2
    assert f"other differs from {first.directory} in the device or precision (" in caught.value.problems[0]
    assert f"foreign differs from {first.directory} in the target vocabulary and data.language_tags;" in str(
        caught.value
    )
