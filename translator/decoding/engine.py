"""Engines: many sentences in, their hypotheses out, in order; the native one searches with our own model.

What an engine is given and returns is piece ids: it knows nothing of text or lines.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from translator.config import DecodingSettings
from translator.decoding.penalty import LengthPenalty
from translator.decoding.request import Hypothesis, Request
from translator.decoding.search import beam_search, greedy_search
from translator.decoding.steps import Steps

NOTHING = Hypothesis((), 0.0, 0.0)
"""The answer to a source without pieces."""


class Engine(Protocol):
    """Whatever can translate piece ids."""

    longest_source: int | None
    """Most pieces of a source, if there is a limit."""

    def search(
        self,
        requests: Sequence[Request],
        settings: DecodingSettings,
        *,
        with_scores: bool = True,
        on_batch: Callable[[int], None] | None = None,
    ) -> list[list[Hypothesis]]:
        """Search for the hypotheses of every request, in order: at most `settings.n_best`, best first.

        With `settings.search` "sampling" they are independent samples in the order in which they were drawn; with
        "mbr", `settings.mbr_samples` such samples: choosing among them is not the engine's work. Without `with_scores`,
        scores may be NaN, which is faster where only the best piece counts. A request that has no hypothesis of
        non-zero probability gets an empty list. `on_batch` hears the number of sentences of each finished batch.
        Safe to call from several threads at once. Raises `ConfigError` for settings that the engine cannot follow.
        """
        ...


class NativeEngine:
    """`Engine` over a step function."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.longest_source = steps.max_length

    def search(
        self,
        requests: Sequence[Request],
        settings: DecodingSettings,
        *,
        with_scores: bool = True,
        on_batch: Callable[[int], None] | None = None,
    ) -> list[list[Hypothesis]]:
        """See `Engine`."""
        results = [[NOTHING] for _ in requests]
        filled = [index for index, request in enumerate(requests) if len(request.source)]
        penalty = LengthPenalty(settings.length_penalty, settings.length_alpha)
        # Each source counts with its end mark, once for every hypothesis.
        lengths = [(len(requests[index].source) + 1) * settings.beam_size for index in filled]
        for places in token_batches(lengths, settings.batch_tokens):
            batch = [filled[place] for place in places]
            texts = [requests[index].source for index in batch]
            limits = [length_limit(self.steps, text, settings) for text in texts]
            if settings.beam_size == 1:
                best = greedy_search(self.steps, texts, limits, penalty=penalty if with_scores else None)
                found = [[hypothesis] for hypothesis in best]
            else:
                found = beam_search(
                    self.steps, texts, limits,
                    beam_size=settings.beam_size, penalty=penalty, n_best=settings.n_best,
                )  # fmt: skip
            for index, hypotheses in zip(batch, found, strict=True):
                results[index] = hypotheses
            if on_batch is not None:
                on_batch(len(batch))
        return results


def token_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Group indices, longest first, so that a batch holds at most `budget` tokens; a longer one is alone."""
    batch: list[int] = []
    tokens = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if batch and tokens + lengths[index] > budget:
            yield batch
            batch, tokens = [], 0
        batch.append(index)
        tokens += lengths[index]
    if batch:
        yield batch


def length_limit(steps: Steps, source: Sequence[int], settings: DecodingSettings) -> int:
    """Return the most pieces that a translation of `source` may have."""
    limit = int(settings.max_length_factor * len(source)) + settings.max_length_extra
    return limit if steps.max_length is None else min(limit, steps.max_length)


def translate_ids(steps: Steps, sources: Sequence[Sequence[int]], settings: DecodingSettings) -> list[list[int]]:
    """Return the best translation of every source, in order, in piece ids without marks.

    A source without pieces, or without any hypothesis of non-zero probability, has an empty one.
    """
    requests = [Request(tuple(source)) for source in sources]
    found = NativeEngine(steps).search(requests, settings, with_scores=False)
    return [list(hypotheses[0].tokens) if hypotheses else [] for hypotheses in found]
