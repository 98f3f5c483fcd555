"""The n best translations of a beam search, no text twice: several sequences of pieces can spell the same text."""

from collections.abc import Callable, Sequence
from typing import Unpack

from translator.config import DecodingSettings
from translator.decoding.engine import Engine, SearchOptions
from translator.decoding.hypothesis import Hypothesis, Request
from translator.text.normalization import as_seen

_ROUNDS = 3
"""Searches after the first, each with twice the beam of the one before, for sentences that still lack texts."""
_WIDEST = 128
"""Widest beam of such a search."""


def search_distinct(
    engine: Engine,
    requests: Sequence[Request],
    settings: DecodingSettings,
    decode_all: Callable[[Sequence[Sequence[int]]], list[str]],
    **options: Unpack[SearchOptions],
) -> list[list[Hypothesis]]:
    """Search as `engine.search`, but with every text once, in its best hypothesis.

    A sentence whose hypotheses repeat a text is searched again with a wider beam, until there are `settings.n_best`
    texts. It gets fewer if the model has no more, or if they are not among the best of a beam eight times as wide. What
    a wider search adds comes after what was found first, so that the best translation does not depend on `n_best`.
    """
    found = engine.search(requests, settings, **options)
    if settings.search != "beam" or settings.n_best == 1:
        # Minimum Bayes risk chooses among distinct texts already, and samples are what was drawn.
        return found
    wanted, wider = settings.n_best, settings
    results = [_with_others([], own, decode_all) for own in found]
    # A search that found fewer than it was asked for has found all there are.
    lacking = [index for index, own in enumerate(results) if len(own) < min(wanted, len(found[index]))]
    for _ in range(_ROUNDS):
        beam = 2 * wider.beam_size
        if not lacking or beam > _WIDEST:
            break
        wider = wider.model_copy(update={"beam_size": beam, "n_best": 2 * wider.n_best})
        again = engine.search([requests[index] for index in lacking], wider, with_scores=True)
        still = []
        for index, own in zip(lacking, again, strict=True):
            results[index] = _with_others(results[index], own, decode_all)
            if len(results[index]) < wanted and len(own) == wider.n_best:
                still.append(index)
        lacking = still
    return [own[:wanted] for own in results]


def _with_others(
    hypotheses: list[Hypothesis],
    others: Sequence[Hypothesis],
    decode_all: Callable[[Sequence[Sequence[int]]], list[str]],
) -> list[Hypothesis]:
    """Return `hypotheses`, followed by the best hypothesis of every text in `others` that they lack, best first."""
    found = [*hypotheses, *sorted(others, key=lambda hypothesis: -hypothesis.score)]
    best: dict[str, Hypothesis] = {}
    for hypothesis, text in zip(found, decode_all([each.tokens for each in found]), strict=True):
        best.setdefault(as_seen(text), hypothesis)
    return list(best.values())
