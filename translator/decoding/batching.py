"""Many sentences through a search: batches of like length and a bounded number of tokens, order restored."""

from collections.abc import Callable, Iterator, Sequence

from translator.config import DecodingSettings
from translator.decoding.penalty import LengthPenalty
from translator.decoding.search import beam_search, greedy_search
from translator.decoding.steps import Steps
from translator.decoding.trellis import Hypothesis


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


def search_ids(
    steps: Steps,
    sources: Sequence[Sequence[int]],
    settings: DecodingSettings,
    *,
    n_best: int = 1,
    with_scores: bool = True,
    on_batch: Callable[[int], None] | None = None,
) -> list[list[Hypothesis]]:
    """Search for the best translations of piece ids (without marks), in the order of `sources`.

    A source without pieces has one hypothesis, the empty one with log-probability 0, and never reaches the
    model. `n_best` is at most the beam size. `on_batch` hears the number of sentences of each batch.
    """
    if not 1 <= n_best <= settings.beam_size:
        raise ValueError(f"n_best is {n_best}; expected 1 to beam_size = {settings.beam_size}")
    results = [[Hypothesis((), 0.0, 0.0)] for _ in sources]
    filled = [index for index, source in enumerate(sources) if len(source)]
    penalty = LengthPenalty(settings.length_penalty, settings.length_alpha)
    # Each source counts with its end mark, once for every hypothesis.
    lengths = [(len(sources[index]) + 1) * settings.beam_size for index in filled]
    for places in token_batches(lengths, settings.batch_tokens):
        batch = [filled[place] for place in places]
        texts = [sources[index] for index in batch]
        limits = [length_limit(steps, text, settings) for text in texts]
        if settings.beam_size == 1:
            best = greedy_search(steps, texts, limits, penalty=penalty if with_scores else None)
            found = [[hypothesis] for hypothesis in best]
        else:
            found = beam_search(steps, texts, limits, beam_size=settings.beam_size, penalty=penalty, n_best=n_best)
        for index, hypotheses in zip(batch, found, strict=True):
            results[index] = hypotheses
        if on_batch is not None:
            on_batch(len(batch))
    return results


def translate_ids(steps: Steps, sources: Sequence[Sequence[int]], settings: DecodingSettings) -> list[list[int]]:
    """Return the best translation of every source, in order, in piece ids without marks.

    A source without pieces, or without any hypothesis of non-zero probability, has an empty one.
    """
    found = search_ids(steps, sources, settings, with_scores=False)
    return [list(hypotheses[0].tokens) if hypotheses else [] for hypotheses in found]
