"""Teacher-forced log-probabilities against those of the searches, of each pair alone, of the mean of several models."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.attention import pack
from translator.checkpoints import load_bundle
from translator.config import DecodingSettings
from translator.decoding import NativeEngine, Request, scoring
from translator.decoding.ensemble import EnsembleStepModel
from translator.decoding.scoring import ScoredTarget, score_pairs
from translator.inference import TransformerStepModel
from translator.model import build_model

PAIRS: list[tuple[list[int], list[int]]] = [
    ([5, 6, 7, 8, 9, 10], [11, 12]),
    ([], []),
    ([11], [5, 5, 5, 8, 9, 30, 31]),
    ([30, 31, 32], []),
    ([40, 5, 41, 5, 42, 5, 43, 5, 44], [9, 7, 9]),
    ([9, 8], [300]),
]


@pytest.fixture(scope="module")
def models(tiny_run: Path) -> list[TransformerStepModel]:
    """The tiny run, and one of another shape with the same vocabulary."""
    first = load_bundle(tiny_run, device="cpu")
    settings = first.config.model.model_copy(update={"d_model": 24, "norm": "pre", "max_positions": 40})
    pieces = first.tokenizers.source.vocab_size
    config = first.config.model_copy(update={"model": settings})
    model = build_model(settings, pieces, pieces, seed=5).eval()
    other = dataclasses.replace(first, config=config, model=model)
    return [TransformerStepModel.of(bundle) for bundle in (first, other)]


def score_alone(models: list[TransformerStepModel], source: list[int], target: list[int]) -> ScoredTarget:
    """The score of one sentence, with PyTorch's softmax in double precision and the mean of plain probabilities."""
    probabilities = []
    with torch.inference_mode():
        for model in models:
            states = model.model(pack([[*source, model.eos_id]]), pack([[model.bos_id, *target]]))
            probabilities.append(model.model.logits(states).double().log_softmax(-1).exp())
    labels = torch.tensor([*target, models[0].eos_id])
    mean = sum(probabilities) / len(models)
    values = mean.gather(-1, labels[:, None]).log().flatten().tolist()  # type: ignore[union-attr]
    return ScoredTarget(sum(values), tuple(values))


def assert_close(found: ScoredTarget | None, expected: ScoredTarget) -> None:
    assert found is not None
    assert found.log_probability == pytest.approx(expected.log_probability, abs=1e-5)
    assert found.log_probabilities == pytest.approx(expected.log_probabilities, abs=1e-5)


@pytest.mark.parametrize("members", [[0], [1], [0, 1]])
@pytest.mark.parametrize("batch_tokens", [1, 16, 4096])
def test_scores_are_those_of_each_pair_alone(
    models: list[TransformerStepModel], members: list[int], batch_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Chunks of four tokens, so that some begin inside a sentence.
    monkeypatch.setattr(scoring, "_CHUNK_LOGITS", 4 * len(models[0].model.output_weight) + 3)
    chosen = [models[member] for member in members]
    found = score_pairs(chosen, *zip(*PAIRS, strict=True), batch_tokens=batch_tokens)
    for result, (source, target) in zip(found, PAIRS, strict=True):
        assert_close(result, score_alone(chosen, source, target) if source else ScoredTarget(0.0, ()))
        assert result is not None and len(result.log_probabilities) == (len(target) + 1 if source else 0)


@given(st.data())
@settings(max_examples=15, deadline=None)
def test_a_pair_has_the_same_score_in_any_batch(models: list[TransformerStepModel], data: st.DataObject) -> None:
    sides = st.lists(st.integers(3, 300), min_size=1, max_size=9)
    pairs = data.draw(st.lists(st.tuples(sides, sides), min_size=1, max_size=6))
    batch_tokens = data.draw(st.integers(1, 60))
    together = score_pairs(models, *zip(*pairs, strict=True), batch_tokens=batch_tokens)
    for result, (source, target) in zip(together, pairs, strict=True):
        (alone,) = score_pairs(models, [source], [target])
        assert alone is not None
        assert_close(result, alone)


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize("members", [[0], [0, 1]])
def test_scores_are_those_of_the_search(models: list[TransformerStepModel], members: list[int], beam_size: int) -> None:
    chosen = [models[member] for member in members]
    step_model: Any = EnsembleStepModel(chosen) if len(chosen) > 1 else chosen[0]
    decoding = DecodingSettings(beam_size=beam_size, n_best=beam_size, max_length_extra=6)
    found = NativeEngine(step_model).search([Request(tuple(source)) for source, _ in PAIRS], decoding)
    answers = [(source, hypothesis) for (source, _), row in zip(PAIRS, found, strict=True) for hypothesis in row]
    scored = score_pairs(chosen, [source for source, _ in answers], [hypothesis.tokens for _, hypothesis in answers])
    assert len(answers) >= len(PAIRS) * beam_size - beam_size
    for result, (_, hypothesis) in zip(scored, answers, strict=True):
        assert result is not None
        assert result.log_probability == pytest.approx(hypothesis.log_probability, abs=1e-5)


def test_pairs_that_cannot_be_scored_are_none_and_the_others_are_scored(models: list[TransformerStepModel]) -> None:
    long = [5] * 40
    pairs = [(long, [6]), ([6], [7]), ([6], long), ([], [6]), (long[1:], long[1:])]
    found = score_pairs(models, *zip(*pairs, strict=True))
    assert [result is None for result in found] == [True, False, True, True, False]
    # The limit is the smallest of the models' limits.
    assert None not in score_pairs(models[:1], *zip(*pairs[:3], strict=True))


def test_nothing_to_score(models: list[TransformerStepModel]) -> None:
    assert score_pairs(models, [], []) == []
    with pytest.raises(ValueError, match="shorter"):
        score_pairs(models, [[5], [6]], [[5]])


def test_perplexity_is_per_token() -> None:
    assert ScoredTarget(3 * math.log(0.25), (math.log(0.25),) * 3).perplexity == pytest.approx(4.0)
    assert ScoredTarget(0.0, ()).perplexity == 1.0
    assert math.isfinite(ScoredTarget(-1e6, (-1e6,)).perplexity)
