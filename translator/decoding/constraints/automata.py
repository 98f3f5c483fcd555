"""Automata over phrases: text that must not occur, however its pieces are cut, and pieces that must.

Both are built once and shared by all hypotheses, sentences and threads; a hypothesis carries the number of a state.
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
    """What the pieces of a vocabulary spell, in UTF-8 bytes."""

    def __init__(self, pieces: Sequence[str], silent: Collection[int] = ()) -> None:
        """`pieces` as `Tokenizer.pieces` gives them: U+2581 begins a word, `<0x41>` is a byte.

        The ids in `silent` (marks and language tags) spell nothing.
        """
        spelt = [_spelling(piece) for piece in pieces]
        for piece in silent:
            spelt[piece] = b""
        self.spelt = spelt
        # Longest first, so that those that have a j-th byte are the first so many.
        self.order = np.argsort([-len(surface) for surface in spelt], kind="stable")

    @cached_property
    def columns(self) -> list[NDArray[Any]]:
        """The j-th bytes of all pieces that have one, in `order`."""
        ordered = [self.spelt[piece] for piece in self.order]
        longest = len(ordered[0]) if ordered else 0
        return [
            np.array([surface[place] for surface in ordered if len(surface) > place], np.uint8)
            for place in range(longest)
        ]


class BannedText:
    """Tells which pieces would make a text hold one of some phrases at the beginning of a word.

    A word begins at the beginning of the text and after white space, of which several in a row count as one. The end
    of a phrase need not end a word: `cat` bans `category`, but not `concat`. `start` is the state before any piece.
    """

    def __init__(self, surfaces: TokenBytes, phrases: Sequence[str]) -> None:
        """Raise `ConfigError` for a phrase without text."""
        self._surfaces = surfaces
        if any(not phrase.replace(_WORD_BEGIN, " ").split() for phrase in phrases):
            raise ConfigError(["a banned phrase has no text; expected at least one character, or no phrase"])
        spelt = [" " + " ".join(phrase.replace(_WORD_BEGIN, " ").split()) for phrase in phrases]
        self._next, self._holds = _byte_automaton([phrase.encode(errors="surrogatepass") for phrase in spelt])
        self.start = int(self._next[0, _SPACE])
        self._forbidden: dict[int, NDArray[Any]] = {}

    def advance(self, state: int, piece: int) -> int:
        """Return the state after `piece`."""
        for byte in self._surfaces.spelt[piece]:
            state = self._next[state, byte]
        return int(state)

    def forbidden(self, state: int) -> NDArray[Any]:
        """Return the ids of the pieces that would complete a phrase after `state`, ascending."""
        found = self._forbidden.get(state)
        if found is None:
            # Two threads may both compute it, and get the same.
            found = self._forbidden[state] = self._completing(state)
        return found

    def _completing(self, state: int) -> NDArray[Any]:
        states = np.full(len(self._surfaces.order), state)
        holds = np.zeros(len(states), bool)
        for column in self._surfaces.columns:
            reached = self._next[states[: len(column)], column]
            states[: len(column)] = reached
            holds[: len(column)] |= self._holds[reached]
        return np.sort(self._surfaces.order[holds])


class RequiredPhrases:
    """Follows which of some sequences of pieces a hypothesis holds already, and which it is in the midst of.

    A hypothesis carries a state, 0 at first, and the bit set of the phrases that it holds (`met`). Occurrences of
    phrases may overlap.
    """

    def __init__(self, phrases: Sequence[Sequence[int]]) -> None:
        self.phrases = tuple(dict.fromkeys(tuple(phrase) for phrase in phrases))
        self.all = (1 << len(self.phrases)) - 1
        self._children, self._fallback = _trie(self.phrases)
        size = len(self._children)
        # Bit sets of the phrases that have a state on their way, that have it before their end, that it ends.
        self._through, self._before, self._ends = [0] * size, [0] * size, [0] * size
        self._depth = [0] * size
        for number, phrase in enumerate(self.phrases):
            state = 0
            for depth, piece in enumerate(phrase, start=1):
                self._before[state] |= 1 << number
                state = self._children[state][piece]
                self._through[state] |= 1 << number
                self._depth[state] = depth
            self._ends[state] |= 1 << number
        # A state also ends what its suffixes end; those are shallower, and so are done first.
        for state in sorted(range(size), key=self._depth.__getitem__):
            self._ends[state] |= self._ends[self._fallback[state]]

    def advance(self, state: int, met: int, piece: int) -> tuple[int, int]:
        """Return the state and what is met after `piece`."""
        while state and piece not in self._children[state]:
            state = self._fallback[state]
        state = self._children[state].get(piece, 0)
        return state, met | self._ends[state]

    def begun(self, state: int, met: int) -> int:
        """Return the state of the longest unfinished beginning of a missing phrase, 0 if there is none."""
        while state and not self._before[state] & ~met:
            state = self._fallback[state]
        return state

    def progress(self, state: int, met: int) -> int:
        """Count the pieces of the phrases that are met, and of the one that is begun."""
        done = sum(len(phrase) for number, phrase in enumerate(self.phrases) if met >> number & 1)
        return done + self._depth[self.begun(state, met)]

    def missing(self, state: int, met: int) -> int:
        """Count the pieces that suffice to meet all phrases, one after the other."""
        return sum(map(len, self.phrases)) - self.progress(state, met)

    def wanted(self, state: int, met: int) -> list[int]:
        """Return the pieces that begin a missing phrase or go on with one; those of the longest begun come first."""
        found: dict[int, None] = {}
        while True:
            found |= dict.fromkeys(self.following(state, met))
            if not state:
                return list(found)
            state = self._fallback[state]

    def following(self, state: int, met: int) -> list[int]:
        """Return the pieces that come next in the missing phrases whose beginning is `state`."""
        return [piece for piece, child in self._children[state].items() if self._through[child] & ~met]


def _spelling(piece: str) -> bytes:
    byte = _BYTE_PIECE.fullmatch(piece)
    spelt = bytes([int(byte[1], 16)]) if byte else piece.replace(_WORD_BEGIN, " ").encode(errors="surrogatepass")
    return spelt.translate(_SPACES)


def _trie(phrases: Sequence[Sequence[int]]) -> tuple[list[dict[int, int]], list[int]]:
    """Return the children of every state and its fallback: the state of its longest proper suffix that has one.

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
    """Return the next state `[states, 256]` for every byte, and in which states a phrase has just been completed."""
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
        # A fallback is shallower, so it is complete already.
        following[state] = following[fallback[state]]
        holds[state] |= holds[fallback[state]]
        for byte, child in children[state].items():
            following[state, byte] = child
            waiting.append((child, byte))
        if last == _SPACE:
            following[state, _SPACE] = state
    return following, holds
