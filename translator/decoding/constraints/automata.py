"""Automata that find phrases: banned ones in text, however it is split into tokens, and required ones in token ids.

Both are built once and shared by all hypotheses, sentences and threads; a hypothesis only stores the index of a state.
Construction: Aho and Corasick 1975.
"""

import re
from collections import deque
from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from translator.errors import ConfigError

_WORD_BEGIN = "\u2581"
_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE = ord(" ")
_SPACES = bytes.maketrans(b"\t\n\v\f\r", b"     ")


class TokenBytes:
    """The UTF-8 bytes that every token of a vocabulary spells."""

    def __init__(self, pieces: Sequence[str], silent: Collection[int] = ()) -> None:
        """`pieces` are what `Tokenizer.pieces` returns: U+2581 begins a word, `<0x41>` is a byte.

        The ids in `silent` (special tokens and language tags) spell nothing.
        """
        spelt = [_spelling(piece) for piece in pieces]
        for token in silent:
            spelt[token] = b""
        self.spelt = spelt
        # Longest first, so that the tokens that have a j-th byte come before those that do not.
        self.order = np.argsort([-len(spelling) for spelling in spelt], kind="stable")

    @cached_property
    def columns(self) -> list[NDArray[Any]]:
        """For each j, the j-th bytes of all tokens that have one, in `order`."""
        ordered = [self.spelt[token] for token in self.order]
        longest = len(ordered[0]) if ordered else 0
        return [
            np.array([spelling[index] for spelling in ordered if len(spelling) > index], np.uint8)
            for index in range(longest)
        ]


class BannedText:
    """Tells which tokens would complete a banned phrase that starts at the beginning of a word.

    A word begins at the beginning of the text and after white space; several spaces in a row count as one. The end of a
    phrase need not be the end of a word: `cat` bans `category`, but not `concat`. `start` is the state before all
    tokens.
    """

    def __init__(self, token_bytes: TokenBytes, phrases: Sequence[str]) -> None:
        """Raises `ConfigError` if a phrase has no text."""
        self._token_bytes = token_bytes
        if any(not phrase.replace(_WORD_BEGIN, " ").split() for phrase in phrases):
            raise ConfigError(["a banned phrase has no text; expected at least one character, or no phrase"])
        spelt = [" " + " ".join(phrase.replace(_WORD_BEGIN, " ").split()) for phrase in phrases]
        self._next, self._holds = _byte_automaton([phrase.encode(errors="surrogatepass") for phrase in spelt])
        self.start = int(self._next[0, _SPACE])
        self._forbidden: dict[int, NDArray[Any]] = {}

    def advance(self, state: int, token: int) -> int:
        """Return the state after `token`."""
        for byte in self._token_bytes.spelt[token]:
            state = self._next[state, byte]
        return int(state)

    def forbidden(self, state: int) -> NDArray[Any]:
        """Return the ids of the tokens that would complete a phrase after `state`, ascending."""
        found = self._forbidden.get(state)
        if found is None:
            # Two threads may both compute it, with the same result.
            found = self._forbidden[state] = self._completing(state)
        return found

    def _completing(self, state: int) -> NDArray[Any]:
        states = np.full(len(self._token_bytes.order), state)
        holds = np.zeros(len(states), bool)
        for column in self._token_bytes.columns:
            reached = self._next[states[: len(column)], column]
            states[: len(column)] = reached
            holds[: len(column)] |= self._holds[reached]
        return np.sort(self._token_bytes.order[holds])


class RequiredPhrases:
    """Follows which required token sequences (phrases) a hypothesis contains, and which it has begun.

    A hypothesis stores a state, 0 at first, and the set of phrases that it contains, as bits (`met`). Occurrences of
    phrases may overlap.
    """

    def __init__(self, phrases: Sequence[Sequence[int]]) -> None:
        self.phrases = tuple(dict.fromkeys(tuple(phrase) for phrase in phrases))
        self.all = (1 << len(self.phrases)) - 1
        self._children, self._fallback = _trie(self.phrases)
        size = len(self._children)
        # For each state, the phrases (as bits) that pass through it, that do so before their end, and that end there.
        self._through, self._before, self._ends = [0] * size, [0] * size, [0] * size
        self._depth = [0] * size
        for index, phrase in enumerate(self.phrases):
            state = 0
            for depth, token in enumerate(phrase, start=1):
                self._before[state] |= 1 << index
                state = self._children[state][token]
                self._through[state] |= 1 << index
                self._depth[state] = depth
            self._ends[state] |= 1 << index
        # A phrase that ends in a suffix of a state also ends in the state. Suffixes are shallower, so they come first.
        for state in sorted(range(size), key=self._depth.__getitem__):
            self._ends[state] |= self._ends[self._fallback[state]]

    def advance(self, state: int, met: int, token: int) -> tuple[int, int]:
        """Return the state and the phrases met after `token`."""
        while state and token not in self._children[state]:
            state = self._fallback[state]
        state = self._children[state].get(token, 0)
        return state, met | self._ends[state]

    def begun(self, state: int, met: int) -> int:
        """Return the state of the longest beginning of a missing phrase that the hypothesis ends with, 0 if none."""
        while state and not self._before[state] & ~met:
            state = self._fallback[state]
        return state

    def progress(self, state: int, met: int) -> int:
        """Count the tokens of the phrases that are met, and of the one that is begun."""
        done = sum(len(phrase) for index, phrase in enumerate(self.phrases) if met >> index & 1)
        return done + self._depth[self.begun(state, met)]

    def wanted(self, state: int, met: int) -> list[int]:
        """Return the tokens that begin or continue a missing phrase; those that continue the longest one come first."""
        found: dict[int, None] = {}
        while True:
            found |= dict.fromkeys(self._following(state, met))
            if not state:
                return list(found)
            state = self._fallback[state]

    def _following(self, state: int, met: int) -> list[int]:
        """Return the tokens that come next in the missing phrases that begin with `state`."""
        return [token for token, child in self._children[state].items() if self._through[child] & ~met]


def _spelling(piece: str) -> bytes:
    byte = _BYTE_PIECE.fullmatch(piece)
    spelt = bytes([int(byte[1], 16)]) if byte else piece.replace(_WORD_BEGIN, " ").encode(errors="surrogatepass")
    return spelt.translate(_SPACES)


def _trie(phrases: Sequence[Sequence[int]]) -> tuple[list[dict[int, int]], list[int]]:
    """Return the children of every state, and its fallback: the state of its longest proper suffix that is a state.

    State 0 is the empty sequence, which is its own fallback.
    """
    children: list[dict[int, int]] = [{}]
    for phrase in phrases:
        state = 0
        for symbol in phrase:
            if symbol not in children[state]:
                children[state][symbol] = len(children)
                children.append({})
            state = children[state][symbol]
    fallback = [0] * len(children)
    waiting = deque(children[0].values())
    while waiting:
        state = waiting.popleft()
        for symbol, child in children[state].items():
            suffix = fallback[state]
            while suffix and symbol not in children[suffix]:
                suffix = fallback[suffix]
            fallback[child] = children[suffix].get(symbol, 0)
            waiting.append(child)
    return children, fallback


def _byte_automaton(phrases: Sequence[bytes]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the next state for every byte, [states, 256], and in which states a phrase has just been completed."""
    children, fallback = _trie(phrases)
    following = np.zeros((len(children), 256), np.int32)
    holds = np.zeros(len(children), bool)
    for phrase in phrases:
        state = 0
        for byte in phrase:
            state = children[state][byte]
        holds[state] = True
    waiting = deque([(0, 0)])
    while waiting:
        state, last = waiting.popleft()
        # The fallback is shallower, so its row is already filled in.
        following[state] = following[fallback[state]]
        holds[state] |= holds[fallback[state]]
        for byte, child in children[state].items():
            following[state, byte] = child
            waiting.append((child, byte))
        if last == _SPACE:
            following[state, _SPACE] = state
    return following, holds
