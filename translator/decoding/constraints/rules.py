"""The rules that the translations of one sentence obey, and the state of a hypothesis with respect to them.

`Rules` never change, so hypotheses, sentences and threads share them. What differs between hypotheses is a small
`RuleState`, which the tracker keeps.
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
    """What has to be known about a hypothesis to apply the rules of its sentence."""

    tokens: tuple[int, ...]
    """The tokens of the hypothesis."""
    text: int
    """State of the automaton of banned text."""
    phrase: int
    """State of the automaton of required phrases."""
    met: int
    """The required phrases that the hypothesis contains, as bits."""


@dataclass(frozen=True)
class Rules:
    """What every translation of a sentence must obey; by default there are no restrictions.

    The prefix takes precedence: its tokens may be banned or repeat themselves, and the rules apply to what follows.
    Raises `ConfigError` if the prefix or a required phrase contains the end token, or if a required phrase is empty.
    """

    eos_id: int
    """The end token; only `minimum`, `required` and `never` forbid it."""
    prefix: tuple[int, ...] = ()
    """Tokens that every hypothesis begins with."""
    banned: BannedText | None = None
    """Text that no hypothesis may contain at the beginning of a word."""
    required: tuple[tuple[int, ...], ...] = ()
    """Token sequences that every hypothesis must contain; they may overlap, and a repeated one counts once."""
    block_ngrams: int = 0
    """No sequence of this many tokens may occur twice; 0 allows all."""
    repetition_penalty: float = 0.0
    """Cost in nats of each token after the prefix that the hypothesis already contains."""
    minimum: int = 0
    """Minimum number of tokens."""
    never: frozenset[int] = field(default=frozenset())
    """Tokens that no hypothesis may contain."""

    def __post_init__(self) -> None:
        problems = []
        if self.eos_id in self.prefix:
            problems.append("a prefix contains the end token; expected tokens of text")
        for phrase in self.required:
            if not phrase or self.eos_id in phrase:
                found = "contains the end token" if phrase else "is empty"
                problems.append(f"a required phrase {found}; expected tokens of text")
        if problems:
            raise ConfigError(problems)

    @property
    def is_empty(self) -> bool:
        """Whether everything is allowed at no cost."""
        return self == Rules(self.eos_id)

    @cached_property
    def phrases(self) -> RequiredPhrases:
        """The automaton of the required phrases."""
        return RequiredPhrases(self.required)

    @cached_property
    def _never(self) -> NDArray[Any]:
        return np.array(sorted(self.never), np.int64)

    def start(self) -> RuleState:
        """Return the state of the hypothesis without tokens."""
        return RuleState((), self.banned.start if self.banned else 0, 0, 0)

    def advance(self, state: RuleState, token: int) -> RuleState:
        """Return the state of a hypothesis after one more `token`."""
        text = self.banned.advance(state.text, token) if self.banned else 0
        phrase, met = self.phrases.advance(state.phrase, state.met, token) if self.required else (0, 0)
        return RuleState((*state.tokens, token), text, phrase, met)

    def may_end(self, state: RuleState) -> bool:
        """Tell whether the end token may be next."""
        if len(state.tokens) < max(self.minimum, len(self.prefix)):
            return False
        return not self.required or state.met == self.phrases.all

    def forbidden(self, state: RuleState) -> NDArray[Any]:
        """Return the ids of the tokens that may not be next; for the end token see `may_end` too."""
        parts = [self._never]
        if self.banned:
            parts.append(self.banned.forbidden(state.text))
        if self.block_ngrams:
            parts.append(np.array(_repeating(state.tokens, self.block_ngrams), np.int64))
        return np.concatenate(parts)

    def charge(self, tokens: Sequence[int]) -> float:
        """Return the cost of the repetitions in a hypothesis, in nats; repetitions within the prefix are free."""
        free = len(self.prefix) - len(set(self.prefix))
        return self.repetition_penalty * (len(tokens) - len(set(tokens)) - free)


def _repeating(tokens: tuple[int, ...], size: int) -> list[int]:
    """Return the tokens that, if they came next, would repeat a sequence of `size` tokens."""
    tail = tokens[len(tokens) - size + 1 :]
    if len(tokens) < size:
        return []
    return [tokens[end] for end in range(size - 1, len(tokens)) if tokens[end - size + 1 : end] == tail]
