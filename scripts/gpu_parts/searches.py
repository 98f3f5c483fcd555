"""What the parts that decode measure with: steps in lockstep, the time of a step and of a search, the least work."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from translator.config import DecodingSettings
from translator.decoding import StepModel, translate_ids
from translator.model import Transformer, count_parameters

BATCH_TOKENS = {"cuda": 80_000, "cpu": 4096}


def random_sources(count: int, vocabulary: int, longest: int) -> list[list[int]]:
    """Random pieces in random lengths."""
    random = np.random.default_rng(1)
    return [random.integers(3, vocabulary, random.integers(1, longest + 1)).tolist() for _ in range(count)]


def errors_in_lockstep(
    steps: Sequence[StepModel], sources: Sequence[Sequence[int]], vocabulary: int, width: int, length: int
) -> list[float]:
    """Return how far the logits of the others are from those of the first, as means over one batch.

    All are fed the same random pieces; hypotheses are reordered at random, and now and then a sentence leaves.
    """
    random = torch.Generator().manual_seed(1)
    device, living, hypotheses = steps[0].device, len(sources), 1
    states = [one.start(sources, width, length) for one in steps]
    totals = torch.zeros(len(steps) - 1, dtype=torch.float64)
    for _ in range(length):
        tokens = torch.randint(3, vocabulary, (living, hypotheses), generator=random).to(device)
        logits = [one.step(tokens, state).float() for one, state in zip(steps, states, strict=True)]
        totals += torch.stack([(one - logits[0]).abs().mean() for one in logits[1:]]).double().cpu()
        sentences = None
        if living > 1 and torch.rand((), generator=random) < 0.3:
            sentences = torch.randperm(living, generator=random)[: -(-living * 3 // 4)].sort().values.to(device)
            living = len(sentences)
        parents = torch.randint(hypotheses, (living, width), generator=random).to(device)
        hypotheses = width
        states = [one.select(state, sentences, parents) for one, state in zip(steps, states, strict=True)]
    return (totals / length).tolist()


def step_seconds(
    steps: StepModel, sources: Sequence[Sequence[int]], width: int, first: int, count: int, wait: Callable[[], None]
) -> float:
    """Median seconds of a step, over `count` of them from position `first` on; the search is left out.

    The batch is decoded five times, and the last two count: before that, shapes are new.
    """
    device, times = steps.device, []
    for attempt in range(5):
        state = steps.start(sources, width, first + count)
        tokens = torch.ones(len(sources), 1, dtype=torch.int64, device=device)
        parents = torch.zeros(len(sources), width, dtype=torch.int64, device=device)
        for position in range(first + count):
            wait()
            began = time.perf_counter()
            steps.step(tokens, state)
            state = steps.select(state, None, parents)
            wait()
            if attempt >= 3 and position >= first:
                times.append(time.perf_counter() - began)
            tokens = torch.ones_like(parents)
    return statistics.median(times)


class Work(NamedTuple):
    """The least that a step has to do."""

    bytes: float
    """Weights, cache and memory, read once."""
    flops: float
    """Of the products with weights."""


def work_of_step(model: Transformer, sentences: int, width: int, memory: int, position: int, bytes_each: int) -> Work:
    """Return the work of a step for hypotheses at `position`, with `memory` source positions for each sentence."""
    d_model, layers = model.settings.d_model, len(model.decoder_layers)
    # The memory is projected once, and not in a step.
    weights = count_parameters(model.decoder_layers) - layers * 2 * d_model**2 + model.output_weight.numel()
    remembered = 2 * layers * d_model * sentences * (memory + width * position)
    return Work(bytes_each * (weights + remembered), 2.0 * weights * sentences * width)


class Speed(NamedTuple):
    """What a search over a whole set of sentences took."""

    found: list[list[int]]
    tokens_per_second: float
    """Pieces of the translations, with the ends of sentences."""
    milliseconds: float
    """Median of a sentence by itself."""
    first_seconds: float
    """The first search over the set, in which every shape is new."""


def time_search(
    steps: StepModel, sources: Sequence[Sequence[int]], beam_size: int, wait: Callable[[], None], quick: bool = False
) -> Speed:
    """Translate all `sources` twice and time the second time; then some of them one by one, also twice."""
    settings = DecodingSettings(beam_size=beam_size, batch_tokens=BATCH_TOKENS[steps.device.type])
    alone = sources[: 2 if quick else 20]
    times, answers = [], []
    for batch in [sources] * 2 + [[source] for source in alone] * 2:
        wait()
        began = time.perf_counter()
        answers.append(translate_ids(steps, batch, settings))
        wait()
        times.append(time.perf_counter() - began)
    found = answers[1]
    tokens = sum(len(ids) + 1 for ids in found)
    singles = times[2 + len(alone) :]
    return Speed(found, tokens / times[1], 1000 * statistics.median(singles), times[0])
