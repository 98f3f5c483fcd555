"""Sampled segmentations: they spell the same text, and depend on nothing but the seed."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from translator.config import TrainingSettings
from translator.data import PreparedData, prepare
from translator.data.batch_plan import Budget
from translator.data.batches import SpecialTokens, make_batch
from translator.data.text_sampling import TextSampler
from translator.errors import DataError
from translator.training.batch_loader import BatchLoader
from translator.training.progress import Position

INDICES = np.array([3, 17, 3, 40])


@pytest.fixture(params=["bpe", "unigram"])
def data(request: Any, corpus: Callable[..., str], pairs: Callable[..., Any], settings: Callable[..., Any],
         tmp_path: Path) -> PreparedData:  # fmt: skip
    sections = {"tokenizer": {"vocab_size": 340, "type": request.param}, "training": {"subword_sampling": 0.3}}
    return prepare(settings(sections, train=corpus("train", pairs(0, 80))), tmp_path / "prepared")


def sampler(data: PreparedData, longest: int = 60, budget: Budget | None = None) -> TextSampler:
    return TextSampler(data.train, data.tokenizers, 0.3, longest, budget)


def test_sampled_pieces_spell_the_text_and_change_with_the_seed(data: PreparedData) -> None:
    first, again, other = (sampler(data).gather(INDICES, seed) for seed in (1, 1, 2))
    assert all(a.tolist() == b.tolist() for a, b in zip(first, again, strict=True))
    assert first.source_tokens.tolist() != other.source_tokens.tolist()
    for row, index in enumerate(INDICES):
        for tokenizer, text, tokens, offsets in zip(
            (data.tokenizers.source, data.tokenizers.target), data.train.text(int(index)), first[::2], first[1::2],
            strict=True,
        ):  # fmt: skip
            assert tokenizer.decode(tokens[offsets[row] : offsets[row + 1]].tolist()) == text
    # The same pair twice in a batch is segmented twice.
    offsets = first.source_offsets
    rows = [first.source_tokens[offsets[row] : offsets[row + 1]].tolist() for row in (0, 2)]
    assert rows[0] != rows[1]


def test_what_would_be_too_long_keeps_its_usual_pieces(data: PreparedData) -> None:
    usual = data.train.gather(INDICES)
    found = sampler(data, longest=1).gather(INDICES, 1)
    assert all(a.tolist() == b.tolist() for a, b in zip(found, usual, strict=True))
    free = sampler(data).gather(INDICES, 1)
    limit = len(free.target_tokens) + len(INDICES) - 1
    bounded = sampler(data, budget=Budget(limit)).gather(INDICES, 1)
    assert len(usual.target_tokens) < len(bounded.target_tokens) <= limit - len(INDICES)
    assert bounded.source_tokens.tolist() == free.source_tokens.tolist()


def test_growth_is_what_batches_gain(data: PreparedData) -> None:
    everything = np.arange(len(data.train))
    special_tokens = SpecialTokens(2, 1, 2)
    usual = make_batch(data.train, everything, special_tokens)
    sampled = make_batch(sampler(data).seeded(0), everything, special_tokens)
    source, target = sampler(data).growth()
    assert source == pytest.approx(sampled.source.tokens.numel() / usual.source.tokens.numel())
    assert target == pytest.approx(sampled.target_tokens / usual.target_tokens)
    assert target > 1.02


def test_data_without_text_cannot_be_sampled(data: PreparedData, corpus: Callable[..., str], pairs: Callable[..., Any],
                                             settings: Callable[..., Any], tmp_path: Path) -> None:  # fmt: skip
    bare = prepare(settings(train=corpus("bare", pairs(0, 80))), tmp_path / "bare")
    with pytest.raises(DataError, match="holds no text"):
        TextSampler(bare.train, bare.tokenizers, 0.1, 60)


@pytest.mark.parametrize("order", ["bucketed", "random"])
def test_batches_hold_sampled_pieces(data: PreparedData, order: str) -> None:
    """The budget leaves room for them; a few sentences of a batch may keep their usual pieces to stay within it."""
    settings = TrainingSettings.model_validate({"subword_sampling": 0.3, "batch_tokens": 250, "order": order})
    loader = BatchLoader(data, settings, 250, seed=1, max_length=60, max_positions=64)
    sampled = whole = 0
    for planned in itertools.islice(loader.after(Position()), 12):
        batch = loader.load(planned)
        assert batch.target_tokens <= 250
        usual = data.train.gather(planned.indices)
        rows = zip(batch.source.layout.offsets.tolist(), usual.source_offsets, usual.source_offsets[1:], strict=False)
        for begin, first, end in rows:
            pieces = usual.source_tokens[first:end].tolist()
            sampled += batch.source.tokens[begin : begin + len(pieces)].tolist() != pieces
            whole += 1
    assert sampled > 0.4 * whole
