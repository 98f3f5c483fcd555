"""How far the hypotheses of a batch have come with the rules of their sentences, step by step.

It is kept on the host and tells the search which logits to change, so that the vocabulary is touched where a rule says
something and nowhere else. A search without rules never comes here.

Shapes: M sentences still searched, K hypotheses of each, V vocabulary, W wanted pieces.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from translator.decoding.constraints.rules import Rules, RuleState

NEVER = -math.inf


class RuleTracker:
    """The rules of the sentences that are still searched, and a state for each of their hypotheses."""

    def __init__(self, rules: Sequence[Rules], eos_id: int, early_end: bool = False) -> None:
        """`early_end` leaves the end mark open to hypotheses that lack required phrases; see `hurry`."""
        self._rules = list(rules)
        self._states = [[rule.start()] for rule in rules]
        self._eos_id, self._early_end = eos_id, early_end
        self.requires = any(rule.required for rule in rules)
        """Whether there are required phrases."""

    @classmethod
    def of(cls, rules: Sequence[Rules] | None, eos_id: int, early_end: bool = False) -> "RuleTracker | None":
        """Return a tracker, or None where no rule says anything."""
        if rules is None or all(rule.is_empty for rule in rules):
            return None
        return cls(rules, eos_id, early_end)

    def advance(
        self,
        keep: NDArray[Any] | None,
        parents: NDArray[Any],
        tokens: NDArray[Any],
        hurried: NDArray[Any] | None = None,
    ) -> None:
        """Keep the sentences in places `keep` (None: all); their hypotheses go on as in `StepModel.select`.

        `parents`, `tokens` and `hurried` (those whose token `hurry` chose) are `[M, K]`.
        """
        if keep is not None:
            self._rules = [self._rules[place] for place in keep.tolist()]
            self._states = [self._states[place] for place in keep.tolist()]
        before = [
            [states[parent] for parent in row] for states, row in zip(self._states, parents.tolist(), strict=True)
        ]
        self._states = [
            [rule.advance(state, token) for state, token in zip(states, row, strict=True)]
            for rule, states, row in zip(self._rules, before, tokens.tolist(), strict=True)
        ]
        if hurried is not None:
            for place, column in np.argwhere(hurried).tolist():
                state = self._states[place][column]
                # Hurry is over when a phrase is complete.
                self._states[place][column] = state._replace(hurried=state.met == before[place][column].met)

    def forced(self, length: int, ceilings: NDArray[Any]) -> NDArray[Any]:
        """Return the only piece [M] that each sentence may have after `length` pieces, or -1.

        It is one of the prefix, or the end mark at the length limit `ceilings` [M].
        """
        prefixes = [rule.prefix[length] if length < len(rule.prefix) else -1 for rule in self._rules]
        return np.where(ceilings <= length, self._eos_id, prefixes)

    @contextmanager
    def edited(self, logits: Tensor, forced: NDArray[Any]) -> Iterator[None]:
        """Change contiguous `logits` [M, K, V] for a while: -inf for what is forbidden, less for what is repeated.

        Where one piece is `forced` [M], only the end mark can be forbidden.
        """
        places, amounts = self._edits(logits.size(-1), forced)
        positions = torch.from_numpy(places).to(logits.device)
        flat = logits.view(-1)
        before = flat[positions]
        flat.index_add_(0, positions, torch.from_numpy(amounts).to(logits))
        yield
        flat[positions] = before

    def _edits(self, vocabulary: int, forced: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        places: list[Any] = []
        amounts: list[Any] = []
        offset = -vocabulary
        for rule, states, only in zip(self._rules, self._states, forced.tolist(), strict=True):
            for state in states:
                offset += vocabulary
                if only in (-1, self._eos_id) and not self._end_is_open(rule, state, at_limit=only >= 0):
                    places.append([offset + self._eos_id])
                    amounts.append([NEVER])
                if only < 0:
                    forbidden = rule.forbidden(state)
                    places.append(forbidden + offset)
                    amounts.append(np.full(len(forbidden), NEVER))
                    if rule.repetition_penalty:
                        repeated = np.array(sorted(set(state.tokens)), np.int64)
                        places.append(repeated + offset)
                        amounts.append(np.full(len(repeated), -rule.repetition_penalty))
        if not places:
            return np.empty(0, np.int64), np.empty(0)
        return np.concatenate(places), np.concatenate(amounts)

    def _end_is_open(self, rule: Rules, state: RuleState, at_limit: bool) -> bool:
        if self._early_end and not at_limit:
            return len(state.tokens) >= rule.minimum
        return rule.may_end(state)

    def wanted(self) -> NDArray[Any]:
        """Return the pieces [M, K, W] that bring a required phrase forward, and -1 where there are fewer."""
        if not self.requires:
            return np.empty((len(self._states), len(self._states[0]), 0), np.int64)
        return _padded(
            [
                [rule.phrases.wanted(state.phrase, state.met) if rule.required else [] for state in states]
                for rule, states in zip(self._rules, self._states, strict=True)
            ]
        )

    def shared(self, keys: Tensor, pieces: Tensor, first: int) -> Tensor:
        """Return `keys` [M, K, B] by which a beam is shared out among candidates with and without required phrases.

        `pieces` are theirs, and hypotheses `first`, `first` + 1 and so on what they continue. What holds few of the
        phrases is more probable and would leave no room to the rest. So candidates go into banks: by the number of
        phrases that they hold, and within it by whether they have begun another. The best of each bank come first,
        those of the furthest bank before the others; then the second of each, and so on (dynamic beam allocation:
        Post and Vilar 2018; in this form Hu et al. 2019, there with a bank for each piece). Before all comes the one
        that has come furthest, in pieces, so that even a narrow beam arrives.
        """
        shared = keys.clone()
        for place, rule in enumerate(self._rules):
            if rule.required:
                order = self._shared_order(place, keys[place].numpy(), pieces[place].numpy(), first)
                shared[place].view(-1)[order] = -torch.arange(len(order), dtype=keys.dtype)
        return shared

    def _shared_order(self, place: int, keys: NDArray[Any], pieces: NDArray[Any], first: int) -> Tensor:
        phrases = self._rules[place].phrases
        order = np.argsort(-keys.ravel(), kind="stable")
        order = order[keys.ravel()[order] > NEVER]
        ranks: Counter[int] = Counter()
        positions: list[tuple[int, int]] = []
        progress: list[int] = []
        for candidate in order.tolist():
            state = self._states[place][first + candidate // keys.shape[1]]
            phrase, met = phrases.advance(state.phrase, state.met, int(pieces.flat[candidate]))
            bank = 2 * met.bit_count() + (phrases.begun(phrase, met) > 0)
            positions.append((ranks[bank], -bank))
            progress.append(phrases.progress(phrase, met))
            ranks[bank] += 1
        if progress:
            positions[progress.index(max(progress))] = (-1, 0)
        return torch.from_numpy(order[sorted(range(len(order)), key=positions.__getitem__)])

    def hurry(self, logits: Tensor, tokens: Tensor, room: NDArray[Any]) -> tuple[Tensor, NDArray[Any]]:
        """Keep hypotheses that are not compared with others from ending without their required phrases.

        One that chose the end mark too early among `tokens` [M, K], or whose `room` [M] for pieces is just enough,
        takes the most probable next piece of a missing phrase instead, until the phrase is complete. Returns the
        tokens, and which were replaced.
        """
        width = tokens.size(1)
        lacking, urgent = (np.zeros((len(room), width), bool) for _ in range(2))
        following: list[list[list[int]]] = []
        for place, (rule, states) in enumerate(zip(self._rules, self._states, strict=True)):
            following.append([])
            for column, state in enumerate(states):
                if rule.is_complete(state):
                    following[-1].append([])
                    continue
                columns = slice(None) if len(states) == 1 else column
                lacking[place, columns] = True
                urgent[place, columns] = state.hurried or room[place] <= rule.phrases.missing(state.phrase, state.met)
                following[-1].append(rule.phrases.following(rule.phrases.begun(state.phrase, state.met), state.met))
        hurried = lacking & (urgent | (tokens.cpu().numpy() == self._eos_id))
        if not hurried.any():
            return tokens, hurried
        ids = torch.from_numpy(_padded(following)).to(logits.device)
        values = logits.gather(-1, ids.clamp(min=0)).masked_fill(ids < 0, NEVER)
        best = ids.gather(-1, values.argmax(-1, keepdim=True)).squeeze(-1)  # [M, K]
        return torch.where(torch.from_numpy(hurried).to(logits.device), best, tokens), hurried


def _padded(pieces: list[list[list[int]]]) -> NDArray[Any]:
    longest = max(len(found) for row in pieces for found in row)
    padded = np.full((len(pieces), len(pieces[0]), longest), -1, np.int64)
    for place, row in enumerate(pieces):
        for column, found in enumerate(row):
            padded[place, column, : len(found)] = found
    return padded
