"""One sentence as CTranslate2 is asked for it, what it answers, and what it cannot be asked for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from translator.config import DecodingSettings
from translator.decoding.hypothesis import LengthPenalty, Request
from translator.errors import ConfigError

_FILLER = -1e8
"""The library gives -1e10 to what fills a beam that has too few hypotheses."""


class LibraryHypothesis(NamedTuple):
    """A hypothesis that the library found."""

    tokens: tuple[int, ...]
    """Piece ids, without the end-of-sentence token."""
    ended: bool
    """Whether the end-of-sentence token followed; if not, the hypothesis was cut at the limit."""
    score: float
    """In the library's terms; NaN if it was not asked for."""

    @property
    def length(self) -> int:
        """Number of pieces, the end-of-sentence token included if there is one."""
        return len(self.tokens) + self.ended

    @property
    def was_chosen(self) -> bool:
        """Whether this is more than what fills a beam that has too few hypotheses."""
        return not self.score < _FILLER


class LibraryRequest(NamedTuple):
    """One sentence of a search."""

    sentence: int
    """Its index among all sentences of the search."""
    request: Request
    minimum: int
    """Fewest pieces of a translation."""
    limit: int
    """Most pieces of a translation."""
    is_repeated: bool = False
    """Whether this is the second search, within its own limit and with all hypotheses."""


@dataclass(frozen=True)
class LibrarySearch:
    """Settings of a search in the library's terms."""

    beam_size: int
    exponent: float
    """Of the length penalty, n ** exponent, where n counts the end-of-sentence token."""
    count: int
    """Hypotheses of each sentence that are asked for."""
    is_exact: bool
    """Whether the limit of a sentence must be that of its batch; otherwise the batch may have a higher one."""

    @classmethod
    def of(cls, settings: DecodingSettings) -> "LibrarySearch":
        """Put settings into the library's terms."""
        width = settings.beam_size
        if width == 1:
            return cls(1, 0.0, 1, False)
        exponent = LengthPenalty(settings.length_penalty, settings.length_alpha).exponent
        if exponent == 0.0:
            # The library then stops at the best hypothesis, if no others are asked for.
            return cls(width, 0.0, settings.n_best, True)
        return cls(width, exponent, width, False)

    def group(self, task: LibraryRequest) -> tuple[int, ...]:
        """Return what must be equal for all sentences of a batch.

        In a batch with a prefix, sentences without one could not end at once unless that is the most probable.
        """
        is_exact = self.is_exact or task.is_repeated
        return task.minimum, task.is_repeated, task.limit if is_exact else 0, bool(task.request.prefix)

    def is_complete(self, task: LibraryRequest, found: Sequence[LibraryHypothesis], limit: int) -> bool:
        """Tell whether `found` is what a search within the task's own limit finds, not only within its batch's `limit`.

        If not, the search must be repeated. A hypothesis that ended before its limit does not depend on the limit, and
        of all hypotheses of a beam one was found in the last step. A greedy hypothesis only needs to be cut.
        """
        if self.beam_size == 1:
            return True
        if task.limit < limit and any(hypothesis.length >= task.limit for hypothesis in found):
            return False
        # A hypothesis that was cut has yet to be charged with its end, after which others may be better.
        return task.is_repeated or self.count == self.beam_size or all(hypothesis.ended for hypothesis in found)


def cut(found: LibraryHypothesis, limit: int) -> LibraryHypothesis:
    """Return what of a greedy hypothesis is within `limit` pieces."""
    return found if found.length <= limit else LibraryHypothesis(found.tokens[:limit], False, math.nan)


def refusals(settings: DecodingSettings) -> dict[str, str]:
    """Return which settings the library cannot follow, and why."""
    asked = {
        f"search={settings.search}": settings.search != "beam" and "its random numbers do not depend on the line alone",
        "diverse_groups": settings.diverse_groups > 1 and "it has no diverse beams",
        "repetition_penalty": settings.repetition_penalty > 0 and "its penalty is a factor, not a cost in nats",
        "banned": bool(settings.banned) and "it bans sequences of pieces, not text",
        "required": bool(settings.required) and "it requires nothing but a prefix",
    }
    return {name: reason for name, reason in asked.items() if reason}


def refuse_foreign(requests: Sequence[Request], settings: DecodingSettings) -> None:
    """Raise `ConfigError` with everything that is asked for and that the library cannot do."""
    banned = [text for request in requests for text in request.banned]
    required = ["..." for request in requests if request.required]
    if banned or required:
        settings = settings.model_copy(
            update={"banned": settings.banned + banned, "required": settings.required + required}
        )
    problems = [
        f"{name}: the ctranslate2 engine cannot do this ({reason}); leave it out, or use the native engine"
        for name, reason in refusals(settings).items()
    ]
    if problems:
        raise ConfigError(problems)
