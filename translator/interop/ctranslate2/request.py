"""One sentence as CTranslate2 is asked for it, what it answers, and what it cannot be asked for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from translator.config import DecodingSettings
from translator.decoding.engine import length_bounds
from translator.decoding.hypothesis import Request
from translator.errors import ConfigError

_FILLER = -1e8
"""The library gives -1e10 to what fills a beam that has too few hypotheses."""
_GNMT_EXPONENT = 0.75
"""((5 + n) / 6) ** alpha grows like n ** (0.75 * alpha) where n is 15."""


class LibraryHypothesis(NamedTuple):
    """A hypothesis that the library found."""

    tokens: tuple[int, ...]
    """Piece ids, without the end mark."""
    ended: bool
    """Whether the end mark followed; if not, it was cut at the limit."""
    score: float
    """In the library's terms; NaN where it was not asked for."""

    @property
    def length(self) -> int:
        """Its pieces, the end mark included where it has one."""
        return len(self.tokens) + self.ended

    @property
    def was_chosen(self) -> bool:
        """Whether it is more than what fills a beam that has too few hypotheses."""
        return not self.score < _FILLER


@dataclass(frozen=True)
class LibraryRequest:
    """A sentence and the library's settings for it."""

    index: int
    """Its place among all that are to be translated."""
    request: Request
    limit: int
    """Most pieces."""
    minimum: int
    """Least pieces."""
    exponent: float
    """Of the length penalty, n ** exponent, with the end mark among n."""
    beam_size: int
    count: int
    """Hypotheses that are asked for."""
    exact: bool
    """Whether its limit must be that of its batch, which otherwise may have a higher one."""

    @classmethod
    def of(cls, index: int, request: Request, settings: DecodingSettings, longest: int) -> "LibraryRequest":
        """Put a request into the library's terms; `longest` is the most pieces that the model can write."""
        minimum, limit = length_bounds(len(request.source), settings, longest)
        exponent = settings.length_alpha * (1.0 if settings.length_penalty == "mean" else _GNMT_EXPONENT)
        if settings.beam_size == 1:
            exponent = 0.0
        elif exponent == 0.0:
            # The library then stops at the best hypothesis, if no others are asked for.
            return cls(index, request, limit, minimum, 0.0, settings.beam_size, settings.n_best, True)
        return cls(index, request, limit, minimum, exponent, settings.beam_size, settings.beam_size, False)

    @property
    def group(self) -> tuple[int, ...]:
        """What must be the same for all sentences of a batch.

        Beside one with a prefix, the others could not end at once unless that is the most probable.
        """
        return self.minimum, self.count, self.limit if self.exact else 0, bool(self.request.prefix)

    def is_complete(self, found: Sequence[LibraryHypothesis], limit: int) -> bool:
        """Tell whether `found` is what a search within its own limit finds, not only within `limit`, its batch's.

        If not, the search is to be `repeated`. One that ended before its limit does not depend on it, and of all the
        hypotheses of a beam one was found at the end. A greedy one is only to be cut.
        """
        if self.beam_size == 1:
            return True
        if self.limit < limit and any(hypothesis.length >= self.limit for hypothesis in found):
            return False
        # What was cut is still to be charged with the end mark, after which others may be better.
        return self.count == self.beam_size or all(hypothesis.ended for hypothesis in found)

    def repeated(self) -> "LibraryRequest":
        """Return the same, for a search within its own limit that returns all that it finds."""
        return replace(self, exact=True, count=self.beam_size)

    def cut(self, found: LibraryHypothesis) -> LibraryHypothesis:
        """Return what is within the limit of a greedy hypothesis."""
        if found.length <= self.limit:
            return found
        return LibraryHypothesis(found.tokens[: self.limit], False, math.nan)


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
