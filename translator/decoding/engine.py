"""Engines turn many sentences into their hypotheses, in order; the native engine does so with a step model.

Engines work on token ids and know nothing about text or lines.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Protocol, TypedDict, Unpack

import torch

from translator.config import DecodingSettings
from translator.decoding.batch_tokens import AUTOMATIC, batch_tokens_of
from translator.decoding.beam_search import beam_search
from translator.decoding.constraints.automata import BannedText, TokenBytes
from translator.decoding.constraints.rules import Rules
from translator.decoding.generate import greedy_search
from translator.decoding.hypothesis import Hypothesis, LengthPenalty, Request
from translator.decoding.sampling import sample_search, seed_of_source
from translator.decoding.step_model import StepModel
from translator.errors import ConfigError
from translator.runtime.halving import Halving

NOTHING = Hypothesis((), 0.0, 0.0)
"""The answer to a source without tokens."""


class SearchOptions(TypedDict, total=False):
    """Optional arguments of `Engine.search`."""

    with_scores: bool
    """Whether log-probabilities and scores are wanted (default); otherwise they may be NaN, which is faster in greedy
    search."""
    on_batch: Callable[[int], None] | None
    """Called with the number of sentences of each finished batch."""


class Engine(Protocol):
    """Anything that can translate token ids."""

    name: str
    """`native`, `ctranslate2` or `ctranslate2+shortlist-DIGEST`, for records of how translations were made."""
    longest_source: int | None
    """Maximum number of tokens in a source, and in a translation, if there is a limit."""

    def search(
        self, requests: Sequence[Request], settings: DecodingSettings, **options: Unpack[SearchOptions]
    ) -> list[list[Hypothesis]]:
        """Search for the hypotheses of every request, in order: at most `settings.n_best`, best first.

        If `settings.search` is "sampling", they are independent samples in the order of drawing. If it is "mbr", they
        are `settings.mbr_samples` such samples, among which the caller chooses. A request without any hypothesis of
        non-zero probability gets an empty list. May be called from several threads at once. Raises `ConfigError` if the
        engine does not support the settings.
        """
        ...


class NativeEngine:
    """`Engine` over a step model; several threads search the batches of one call at once.

    One thread for each batch beats several threads for each matrix product, since these products have few rows.
    PyTorch releases the interpreter lock while it computes, whereas threads that share a product wait for each other,
    for very long on a busy machine.

    On a device, two workers search in turn: while one waits for the results of its step, the other prepares the next
    step of its own batch, so that neither host nor device rests.
    """

    name = "native"

    def __init__(
        self,
        step_model: StepModel,
        vocabulary: TokenBytes | None = None,
        workers: int = 1,
        automatic_batch_tokens: int = AUTOMATIC,
    ) -> None:
        """`vocabulary` is what the target tokens spell; without it, text cannot be banned.

        With several `workers`, each computes on a single thread; a single worker uses the caller's thread and its
        PyTorch settings. `automatic_batch_tokens` is what `decoding.batch_tokens: auto` means.
        """
        self.step_model, self.workers = step_model, workers
        self._automatic_batch_tokens = automatic_batch_tokens
        self.longest_source = step_model.max_length
        self._banned_text = lru_cache(64)(partial(_banned_text, vocabulary))
        self._halving = Halving(
            step_model.device, "a batch of translations", "decoding.batch_tokens", step_model.free_device_memory
        )
        # Which device is the current one is a property of a thread; workers take that of the caller.
        self._current_device = torch.cuda.current_device() if step_model.device.type == "cuda" else None
        self._pool = ThreadPoolExecutor(workers, "search", self._begin_worker) if workers > 1 else None

    def search(
        self, requests: Sequence[Request], settings: DecodingSettings, **options: Unpack[SearchOptions]
    ) -> list[list[Hypothesis]]:
        """See `Engine`."""
        with_scores, on_batch = options.get("with_scores", True), options.get("on_batch")
        results = [[NOTHING] for _ in requests]
        filled = [index for index, request in enumerate(requests) if len(request.source)]
        width = hypotheses_of(settings)
        # Each source counts with its end token, once for every hypothesis.
        lengths = [(len(requests[index].source) + 1) * width for index in filled]
        budget = batch_tokens_of(settings, self._automatic_batch_tokens)
        if self.step_model.device.type == "cpu":
            # A worker without a batch is a core that rests. On a device it only leaves the other one alone.
            budget = even_budget(lengths, budget, self.workers)
        batches = [[filled[index] for index in batch] for batch in token_batches(lengths, budget)]

        def search(batch: list[Request]) -> list[list[Hypothesis]]:
            return self._search(batch, settings, with_scores)

        def work(batch: list[int]) -> list[list[Hypothesis]]:
            sizes = [(len(requests[index].source) + 1) * width for index in batch]
            return self._halving(search, [requests[index] for index in batch], sizes)

        answers = map(work, batches) if self._pool is None else self._pool.map(work, batches)
        for batch, found in zip(batches, answers, strict=True):
            for index, hypotheses in zip(batch, found, strict=True):
                results[index] = hypotheses
            if on_batch is not None:
                on_batch(len(batch))
        return results

    def _begin_worker(self) -> None:
        torch.set_num_threads(1)
        if self._current_device is not None:
            torch.cuda.set_device(self._current_device)

    def _search(
        self, requests: Sequence[Request], settings: DecodingSettings, with_scores: bool
    ) -> list[list[Hypothesis]]:
        sources = [request.source for request in requests]
        longest = self.step_model.max_length
        bounds = [length_bounds(len(own.source), len(own.prefix), settings, longest) for own in requests]
        limits = [limit for _, limit in bounds]
        rules = [self._rules(request, least, settings) for request, (least, _) in zip(requests, bounds, strict=True)]
        penalty = LengthPenalty(settings.length_penalty, settings.length_alpha)
        if settings.search != "beam":
            return sample_search(
                self.step_model, sources, limits, samples=hypotheses_of(settings), penalty=penalty, rules=rules,
                seeds=[seed_of_source(settings.seed, source) for source in sources],
                temperature=settings.temperature, top_k=settings.top_k, top_p=settings.top_p,
            )  # fmt: skip
        if settings.beam_size == 1:
            best = greedy_search(
                self.step_model, sources, limits, penalty=penalty if with_scores else None, rules=rules
            )
            return [[hypothesis] if hypothesis is not None else [] for hypothesis in best]
        return beam_search(
            self.step_model, sources, limits, beam_size=settings.beam_size, penalty=penalty, n_best=settings.n_best,
            groups=settings.diverse_groups, diversity_penalty=settings.diversity_penalty, rules=rules,
        )  # fmt: skip

    def _rules(self, request: Request, minimum: int, settings: DecodingSettings) -> Rules:
        return Rules(
            self.step_model.eos_id,
            prefix=request.prefix,
            banned=self._banned_text(request.banned) if request.banned else None,
            required=request.required,
            block_ngrams=settings.block_ngrams,
            repetition_penalty=settings.repetition_penalty,
            minimum=minimum,
        )


def _banned_text(vocabulary: TokenBytes | None, phrases: tuple[str, ...]) -> BannedText:
    if vocabulary is None:
        raise ConfigError(["banned: this engine does not know what its tokens spell; leave it empty"])
    return BannedText(vocabulary, phrases)


def hypotheses_of(settings: DecodingSettings) -> int:
    """Return how many hypotheses of each sentence are searched or drawn at once."""
    return {"beam": settings.beam_size, "sampling": settings.n_best, "mbr": settings.mbr_samples}[settings.search]


def token_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Group indices, longest first, so that a batch holds at most `budget` tokens; a longer one gets its own batch."""
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


def even_budget(lengths: Sequence[int], budget: int, workers: int) -> int:
    """Return a batch size of at most `budget` tokens that gives all `workers` about the same amount of work.

    If there is too much for one batch each, they get several, in as few rounds as the budget allows.
    """
    longest, total = max(lengths, default=0), sum(lengths)
    rounds = math.ceil(total / max(1, budget - longest) / workers)
    # A batch is closed when the next sentence does not fit, so it may fall short by almost the longest sentence.
    return min(budget, math.ceil(total / max(1, rounds * workers)) + longest - 1) if workers > 1 else budget


def length_bounds(size: int, prefix: int, settings: DecodingSettings, longest: int | None) -> tuple[int, int]:
    """Return the minimum and maximum number of tokens in a translation of `size` source tokens.

    Both count the `prefix` tokens that it begins with, but the settings limit what comes after them: otherwise a long
    prefix could not be continued. `longest` is the model's limit.
    """
    limit = prefix + int(settings.max_length_factor * size) + settings.max_length_extra
    limit = limit if longest is None else min(limit, longest)
    minimum = int(settings.min_length_factor * size) + settings.min_length_extra
    # The maximum takes precedence, since a sentence must end somewhere.
    return min(minimum, limit), limit


def translate_ids(
    step_model: StepModel, sources: Sequence[Sequence[int]], settings: DecodingSettings
) -> list[list[int]]:
    """Return the best translation of every source, in order, as token ids without special tokens.

    A translation is empty if its source is, or if no hypothesis has a non-zero probability.
    """
    requests = [Request(tuple(source)) for source in sources]
    found = NativeEngine(step_model).search(requests, settings, with_scores=False)
    return [list(hypotheses[0].tokens) if hypotheses else [] for hypotheses in found]
