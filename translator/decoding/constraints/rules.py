"""Rules that the translations of one sentence obey, and how far a hypothesis has come with them.

`Rules` never change, so that hypotheses, sentences and threads share them; what differs from hypothesis to
hypothesis is a small `RuleState` that the search carries along.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from translator.decoding.constraints.automata import BannedText, RequiredPhrases
from translator.errors import ConfigError


class RuleState(NamedTuple):
    """Where a hypothesis stands with the rules of its sentence."""

    tokens: tuple[int, ...]
    text: int
    """State of the automaton of banned text."""
    phrase: int
    """State of the automaton of required phrases."""
    met: int
    """Bit set of the required phrases that the hypothesis holds."""
    hurried: bool = False
    """Whether it is completing a phrase that it would not have begun by itself."""


@dataclass(frozen=True)
class Rules:
    """What every translation of a sentence obeys; by default nothing.

    The prefix wins over all others: its pieces may be banned or repeat themselves, and the rules go on from there.
    """

    eos_id: int
    """The end mark, which none but `minimum`, `required` and `never` forbid."""
    prefix: tuple[int, ...] = ()
    """Pieces that every hypothesis begins with."""
    banned: BannedText | None = None
    """Text that none holds at the beginning of a word."""
    required: tuple[tuple[int, ...], ...] = ()
    """Sequences of pieces that every hypothesis holds; they may overlap, and one that stands twice counts once."""
    block_ngrams: int = 0
    """No sequence of so many pieces occurs twice; 0 allows all."""
    repetition_penalty: float = 0.0
    """What each piece after the prefix costs, in nats, that the hypothesis already holds."""
    minimum: int = 0
    """Least number of pieces."""
    never: frozenset[int] = field(default=frozenset())
    """Pieces that none holds."""

    def __post_init__(self) -> None:
        problems = []
        if self.eos_id in self.prefix:
            problems.append("a prefix holds the end mark; expected pieces of text")
        for phrase in self.required:
            if not phrase or self.eos_id in phrase:
                found = "the end mark" if phrase else "no pieces"
                problems.append(f"a required phrase has {found}; expected pieces of text")
        if problems:
            raise ConfigError(problems)

    @property
    def is_empty(self) -> bool:
        """Whether everything is allowed and nothing costs."""
        return self == Rules(self.eos_id)

    @cached_property
    def phrases(self) -> RequiredPhrases:
        """The automaton of the required phrases."""
        return RequiredPhrases(self.required)

    @cached_property
    def _never(self) -> NDArray[Any]:
        return np.array(sorted(self.never), np.int64)

    def start(self) -> RuleState:
        """Return the state of the hypothesis without pieces."""
        return RuleState((), self.banned.start if self.banned else 0, 0, 0)

    def advance(self, state: RuleState, piece: int) -> RuleState:
        """Return the state of a hypothesis that goes on with `piece`."""
        text = self.banned.advance(state.text, piece) if self.banned else 0
        phrase, met = self.phrases.advance(state.phrase, state.met, piece) if self.required else (0, 0)
        return RuleState((*state.tokens, piece), text, phrase, met)

    def is_complete(self, state: RuleState) -> bool:
        """Tell whether the hypothesis holds all required phrases."""
        return not self.required or state.met == self.phrases.all

    def may_end(self, state: RuleState) -> bool:
        """Tell whether the end mark may be next."""
        return len(state.tokens) >= max(self.minimum, len(self.prefix)) and self.is_complete(state)

    def forbidden(self, state: RuleState) -> NDArray[Any]:
        """Return the ids of the pieces that may not be next; the end mark only if it is in `never`."""
        parts = [self._never]
        if self.banned:
            parts.append(self.banned.forbidden(state.text))
        if self.block_ngrams:
            parts.append(np.array(_repeating(state.tokens, self.block_ngrams), np.int64))
        return np.concatenate(parts)

    def charge(self, tokens: Sequence[int]) -> float:
        """Return what the repetitions in a hypothesis cost, in nats; those within the prefix are free."""
        free = len(self.prefix) - len(set(self.prefix))
        return self.repetition_penalty * (len(tokens) - len(set(tokens)) - free)


def _repeating(tokens: tuple[int, ...], size: int) -> list[int]:
    """Return the pieces with which the last `size` pieces would have occurred before."""
    tail = tokens[len(tokens) - size + 1 :]
    if len(tokens) < size:
        return []
    return [tokens[end] for end in range(size - 1, len(tokens)) if tokens[end - size + 1 : end] == tail]
