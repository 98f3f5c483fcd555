"""Hypotheses that are not compared with each other: each goes its own way, piece by piece, until it ends.

Greedy search and sampling are such walks; they differ in how the next piece is chosen.

Shapes: N sentences of the batch, M of them still searched, K hypotheses of each, V vocabulary.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from translator.decoding.constraints.rules import Rules
from translator.decoding.constraints.tracker import RuleTracker
from translator.decoding.hypothesis import Hypothesis, LengthPenalty
from translator.decoding.logits import logsumexp, top_k
from translator.decoding.step_model import StepModel
from translator.decoding.transfer import to_host, with_few_moves


class ActiveHypotheses(NamedTuple):
    """Who chooses at a step: walker `numbers[m, k]` of sentence `rows[m]`, for its piece number `length`."""

    rows: NDArray[Any]
    numbers: NDArray[Any]
    length: int


class ChooseNext(Protocol):
    """How walkers choose."""

    def __call__(self, logits: Tensor, walkers: ActiveHypotheses) -> tuple[Tensor, Tensor]:
        """Return the next pieces [M, K] and the largest logits [M, L, 1], given logits [M, L, V] that stay as they are.

        L is K, or 1 where all walkers of a sentence stand at the same place.
        """
        ...


def generate(
    steps: StepModel,
    sources: Sequence[Sequence[int]],
    limits: Sequence[int],
    width: int,
    next_pieces: ChooseNext,
    penalty: LengthPenalty | None,
    rules: Sequence[Rules] | None,
) -> list[list[Hypothesis]]:
    """Return the hypotheses of `width` walkers for every sentence, in their order.

    One that cannot go on, since nothing is allowed or its numbers went wrong, is left out. Without a penalty,
    log-probabilities and scores are NaN.
    """
    if not sources:
        return []
    longest, device = max(limits), steps.device
    tracker = RuleTracker.of(rules, steps.eos_id, early_end=True)
    party = _Party(limits, width, steps.eos_id)
    with torch.inference_mode():
        state = steps.start(sources, width, longest + 1)
        tokens = torch.full((len(sources), 1), steps.bos_id, device=device)
        for length in range(longest + 1):
            logits = steps.step(tokens, state)  # [M, 1, V], then [M, K, V]
            alone = logits.size(1) == 1
            walkers = ActiveHypotheses(party.rows, party.numbers, length)
            chosen = _choose(logits, next_pieces, walkers, party.ceilings, penalty is not None, tracker, steps.eos_id)
            pieces, gains = to_host([chosen.tokens, chosen.gains])
            party.record(length, pieces, gains)
            keep, columns = party.leave()
            if not len(party.rows):
                break
            tokens, hurried = chosen.tokens, chosen.hurried
            if keep is not None:
                pieces = np.take_along_axis(pieces[keep], columns, axis=1)
                hurried = None if hurried is None else np.take_along_axis(hurried[keep], columns, axis=1)
                tokens = torch.from_numpy(pieces).to(device)
            origins = np.zeros_like(columns) if alone else columns
            if keep is not None or (alone and width > 1):
                kept = None if keep is None or len(keep) == len(logits) else torch.from_numpy(keep).to(device)
                state = steps.select(state, kept, torch.from_numpy(origins).to(device))
            if tracker is not None:
                tracker.advance(keep, origins, pieces, hurried)
    return [party.hypotheses(row, penalty, rules[row] if rules else None) for row in range(len(sources))]


class _Party:
    """Who is on the way, and what everybody has written."""

    def __init__(self, limits: Sequence[int], width: int, eos_id: int) -> None:
        self.rows, self.ceilings = np.arange(len(limits)), np.array(limits)  # [M]
        self.numbers = np.tile(np.arange(width), (len(limits), 1))  # [M, K]
        self._columns = self.numbers
        self._over = np.zeros(self.numbers.shape, bool)  # [M, K]
        self._news = False
        self._eos_id = eos_id
        self._written = np.full((max(limits) + 1, *self.numbers.shape), eos_id, np.int32)
        self._totals = np.zeros(self.numbers.shape)

    def record(self, length: int, pieces: NDArray[Any], gains: NDArray[Any]) -> None:
        """Write down a step: `pieces` and `gains` [M, K]. A gain that is not finite is the end of a walk to nowhere."""
        places = self.rows[:, None], self.numbers
        self._written[length, *places] = pieces
        self._totals[places] += np.where(self._over, 0.0, gains)
        ended = ((pieces == self._eos_id) | ~np.isfinite(gains)) & ~self._over
        self._news = bool(ended.any())
        self._over |= ended

    def leave(self) -> tuple[NDArray[Any] | None, NDArray[Any]]:
        """Let those go whose walk is over; return the places of the sentences that stay and the columns [m, k] that do.

        Sentences leave as a whole. Of a sentence's walkers some leave when many can: a model's memory is kept in rows
        of equal length, and what it costs to put it into order is not worth a few. The places are None where all stay.
        """
        if not self._news:
            return None, self._columns
        keep = with_few_moves(np.flatnonzero(~self._over.all(axis=1)))
        over = self._over[keep]
        needed = int((~over).sum(axis=1).max(initial=0))
        narrower = needed <= 0.75 * over.shape[1]
        if len(keep) == len(self.rows) and not narrower:
            return None, self._columns
        columns = np.argsort(over, axis=1, kind="stable")[:, :needed] if narrower else self._columns[keep]
        self.rows, self.ceilings = self.rows[keep], self.ceilings[keep]
        self.numbers, self._over = (np.take_along_axis(array, columns, axis=1) for array in (self.numbers[keep], over))
        self._columns = np.tile(np.arange(columns.shape[1]), (len(keep), 1))
        return keep, columns

    def hypotheses(self, row: int, penalty: LengthPenalty | None, rules: Rules | None) -> list[Hypothesis]:
        """Read what the walkers of a sentence wrote before their first end mark."""
        found = []
        for written, total in zip(self._written[:, row].T.tolist(), self._totals[row].tolist(), strict=True):
            if not math.isfinite(total):
                continue
            tokens = tuple(written[: written.index(self._eos_id)])
            if penalty is None:
                found.append(Hypothesis(tokens, math.nan, math.nan))
            else:
                charge = rules.charge(tokens) if rules else 0.0
                found.append(Hypothesis(tokens, total, (total - charge) / penalty(len(tokens) + 1.0)))
        return found


class _Chosen(NamedTuple):
    tokens: Tensor
    """[M, K]"""
    gains: Tensor
    """Their log-probabilities [M, K], or any finite number where those are not asked for; -inf or NaN is no choice."""
    hurried: NDArray[Any] | None
    """See `RuleTracker.hurry`."""


def _choose(
    logits: Tensor,
    next_pieces: ChooseNext,
    walkers: ActiveHypotheses,
    ceilings: NDArray[Any],
    scored: bool,
    tracker: RuleTracker | None,
    eos_id: int,
) -> _Chosen:
    if tracker is None:
        forced = np.where(ceilings <= walkers.length, eos_id, -1)
        tokens, highest = next_pieces(logits, walkers)
        tokens = _with_forced(tokens, forced)
        gains = _log_probabilities(logits, tokens, highest) if scored else highest.float().squeeze(-1).expand_as(tokens)
        return _Chosen(tokens, gains, None)
    forced = tracker.forced(walkers.length, ceilings)
    logits = logits.float().contiguous()
    highest = logits.amax(dim=-1, keepdim=True)
    with tracker.edited(logits, forced):
        tokens, _ = next_pieces(logits, walkers)
        hurried = None
        if tracker.requires:
            tokens, hurried = tracker.hurry(logits, tokens, ceilings - walkers.length)
            hurried &= forced[:, None] < 0
        tokens = _with_forced(tokens, forced)
        allowed = _at(logits, tokens) > -math.inf
    return _Chosen(tokens, _log_probabilities(logits, tokens, highest).masked_fill(~allowed, -math.inf), hurried)


def _with_forced(tokens: Tensor, forced: NDArray[Any]) -> Tensor:
    if not (forced >= 0).any():
        return tokens
    only = torch.from_numpy(forced).to(tokens.device)[:, None]
    return torch.where(only >= 0, only, tokens)


def _at(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return the logits [M, K] of `tokens` [M, K], given those [M, L, V] of all pieces; L is K or 1."""
    return logits.gather(-1, tokens.reshape(*logits.shape[:2], -1)).flatten(1)


def _log_probabilities(logits: Tensor, tokens: Tensor, highest: Tensor) -> Tensor:
    """Return those [M, K] of `tokens`; the logits are overwritten."""
    logits = logits.float()
    chosen = _at(logits, tokens)
    return (chosen.unflatten(1, (logits.size(1), -1)) - logsumexp(logits, highest.float())).flatten(1)


def greedy_search(
    steps: StepModel,
    sources: Sequence[Sequence[int]],
    limits: Sequence[int],
    *,
    penalty: LengthPenalty | None = None,
    rules: Sequence[Rules] | None = None,
) -> list[Hypothesis | None]:
    """Follow the most probable piece until it is the end mark.

    `sources` are piece ids without marks, none empty; hypothesis i has at most `limits[i]` pieces and obeys `rules[i]`.
    Without a penalty nothing but the largest logit is looked for, and log-probability and score are NaN.

    Where the end comes before a required phrase, the most probable piece of one is taken instead, and so on until it is
    complete; beams place such phrases better. None stands for a sentence to which its rules leave nothing, or whose
    numbers went wrong.
    """
    found = generate(steps, sources, limits, 1, _most_probable, penalty, rules)
    return [hypotheses[0] if hypotheses else None for hypotheses in found]


def _most_probable(logits: Tensor, walkers: ActiveHypotheses) -> tuple[Tensor, Tensor]:
    highest, tokens = top_k(logits, 1)
    return tokens.squeeze(-1), highest
