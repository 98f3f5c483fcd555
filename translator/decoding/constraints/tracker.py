"""Applies the rules of every sentence to the hypotheses of a batch, step by step.

The state is kept on the host. The tracker tells the search which few logits to change, so the rest of the vocabulary is
not touched. A search without rules has no tracker.

Shapes: M sentences still searched, K hypotheses per sentence, V vocabulary, B continuations considered per hypothesis,
W tokens that advance a required phrase.
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

from translator.decoding.constraints.rules import Rules

_NEVER = -math.inf


class RuleTracker:
    """The rules of the sentences that are still searched, and the state of each of their hypotheses."""

    def __init__(self, rules: Sequence[Rules], eos_id: int) -> None:
        self._rules = list(rules)
        self._states = [[rule.start()] for rule in rules]
        self._eos_id = eos_id
        self.requires = any(rule.required for rule in rules)
        """Whether any sentence has required phrases."""

    @classmethod
    def of(cls, rules: Sequence[Rules] | None, eos_id: int) -> "RuleTracker | None":
        """Return a tracker, or None if no sentence has any rules."""
        if rules is None or all(rule.is_empty for rule in rules):
            return None
        return cls(rules, eos_id)

    def advance(self, keep: NDArray[Any] | None, parents: NDArray[Any], tokens: NDArray[Any]) -> None:
        """Keep the sentences with indices `keep` (None: all) and append `tokens` [M, K] to their hypotheses.

        `parents` [M, K] are the hypotheses that are continued, as in `StepModel.select`.
        """
        if keep is not None:
            self._rules = [self._rules[index] for index in keep.tolist()]
            self._states = [self._states[index] for index in keep.tolist()]
        self._states = [
            [rule.advance(states[parent], token) for parent, token in zip(*rows, strict=True)]
            for rule, states, *rows in zip(self._rules, self._states, parents.tolist(), tokens.tolist(), strict=True)
        ]

    def forced(self, length: int, ceilings: NDArray[Any]) -> NDArray[Any]:
        """Return the only token [M] that may follow `length` tokens of each sentence, or -1 if there are several.

        It is a token of the prefix, or the end token at the length limit `ceilings` [M].
        """
        prefixes = [rule.prefix[length] if length < len(rule.prefix) else -1 for rule in self._rules]
        return np.where(ceilings <= length, self._eos_id, prefixes)

    @contextmanager
    def edited(self, logits: Tensor, forced: NDArray[Any]) -> Iterator[None]:
        """Edit contiguous `logits` [M, K, V] inside the `with` block, and restore them afterwards.

        Forbidden tokens get -inf, and repeated ones are lowered by the repetition penalty. If a sentence has a `forced`
        token [M], no token other than the end token is edited.
        """
        indices, amounts = self._edits(logits.size(-1), forced)
        positions = torch.from_numpy(indices).to(logits.device)
        flat = logits.view(-1)
        before = flat[positions]
        flat.index_add_(0, positions, torch.from_numpy(amounts).to(logits))
        yield
        flat[positions] = before

    def _edits(self, vocabulary: int, forced: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the indices in the flattened logits [M, K, V] to edit, and what to add to them."""
        indices: list[Any] = []
        amounts: list[Any] = []
        offset = -vocabulary
        for rule, states, only in zip(self._rules, self._states, forced.tolist(), strict=True):
            for state in states:
                offset += vocabulary
                if only in (-1, self._eos_id) and not rule.may_end(state):
                    indices.append([offset + self._eos_id])
                    amounts.append([_NEVER])
                if only < 0:
                    forbidden = rule.forbidden(state)
                    indices.append(forbidden + offset)
                    amounts.append(np.full(len(forbidden), _NEVER))
                    if rule.repetition_penalty:
                        repeated = np.array(sorted(set(state.tokens)), np.int64)
                        indices.append(repeated + offset)
                        amounts.append(np.full(len(repeated), -rule.repetition_penalty))
        if not indices:
            return np.empty(0, np.int64), np.empty(0)
        return np.concatenate(indices), np.concatenate(amounts)

    def wanted(self) -> NDArray[Any]:
        """Return the tokens [M, K, W] that advance a required phrase; -1 fills up the rows with fewer."""
        if not self.requires:
            return np.empty((len(self._states), len(self._states[0]), 0), np.int64)
        return _padded(
            [
                [rule.phrases.wanted(state.phrase, state.met) if rule.required else [] for state in states]
                for rule, states in zip(self._rules, self._states, strict=True)
            ]
        )

    def divided(self, keys: Tensor, ids: Tensor, first: int) -> Tensor:
        """Return keys that divide a beam among continuations that contain more and fewer required phrases.

        `keys` and token `ids` are [M, K, B]; they continue hypotheses `first`, `first` + 1, ... Continuations with few
        of the phrases are more probable and would fill the beam. So they are put into banks: by the number of phrases
        that they contain, and within it by whether they have begun another. The best of each bank come first, starting
        with the bank that has come furthest; then the second of each, and so on (dynamic beam allocation: Post and
        Vilar 2018; in this form Hu et al. 2019, there with one bank for each token). The continuation that has come
        furthest, in tokens, is put before all of these, so that even a narrow beam completes the phrases.
        """
        divided = keys.clone()
        for index, rule in enumerate(self._rules):
            if rule.required:
                order = self._bank_order(index, keys[index].numpy(), ids[index].numpy(), first)
                divided[index].view(-1)[order] = -torch.arange(len(order), dtype=keys.dtype)
        return divided

    def _bank_order(self, sentence: int, keys: NDArray[Any], ids: NDArray[Any], first: int) -> Tensor:
        """Return the order of the possible continuations of one sentence, as indices in its flattened `keys` [K, B]."""
        phrases = self._rules[sentence].phrases
        order = np.argsort(-keys.ravel(), kind="stable")
        order = order[keys.ravel()[order] > _NEVER]
        ranks: Counter[int] = Counter()
        positions: list[tuple[int, int]] = []
        progress: list[int] = []
        for candidate in order.tolist():
            state = self._states[sentence][first + candidate // keys.shape[1]]
            phrase, met = phrases.advance(state.phrase, state.met, int(ids.flat[candidate]))
            bank = 2 * met.bit_count() + (phrases.begun(phrase, met) > 0)
            positions.append((ranks[bank], -bank))
            progress.append(phrases.progress(phrase, met))
            ranks[bank] += 1
        if progress:
            positions[progress.index(max(progress))] = (-1, 0)
        return torch.from_numpy(order[sorted(range(len(order)), key=positions.__getitem__)])


def _padded(tokens: list[list[list[int]]]) -> NDArray[Any]:
    """Return lists of tokens [M][K] as one array [M, K, W], with -1 after the end of each list."""
    longest = max(len(found) for row in tokens for found in row)
    padded = np.full((len(tokens), len(tokens[0]), longest), -1, np.int64)
    for index, row in enumerate(tokens):
        for column, found in enumerate(row):
            padded[index, column, : len(found)] = found
    return padded
