"""Greedy and beam search over a step function.

A hypothesis is complete when it ends with the end mark; at the length limit nothing else may follow, so the
log-probability of every hypothesis is that of a whole sentence.

Shapes: N sentences of the batch, M of them still searched, K hypotheses of each, V vocabulary, B branches.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from translator.decoding.backpointers import BackPointers
from translator.decoding.constraints.rules import Rules
from translator.decoding.constraints.tracker import RuleTracker
from translator.decoding.hypothesis import Hypothesis, LengthPenalty
from translator.decoding.logits import logsumexp, top_k
from translator.decoding.step_model import StepModel
from translator.decoding.transfer import to_host, with_few_moves

NEVER = -math.inf


class Choice(NamedTuple):
    """The continuations chosen in a step, in the order in which they were; -inf is none."""

    endings: Tensor
    """Totals [M, E] of those that end."""
    ending_parents: Tensor
    """[M, E]"""
    live: Tensor
    """Totals [M, K] of those that go on."""
    parents: Tensor
    """[M, K]"""
    tokens: Tensor
    """[M, K]"""


@dataclass(frozen=True)
class Chooser:
    """Chooses `width` continuations a sentence, in `groups` that keep apart from each other."""

    width: int
    eos_id: int
    groups: int
    diversity_penalty: float
    """What a piece costs a group, in nats, for each hypothesis of the groups before it that goes on with it."""

    def __call__(self, totals: Tensor, pieces: Tensor, tracker: RuleTracker | None) -> Choice:
        """Choose among continuations of `totals` and ids `pieces` [M, K, B].

        Hypotheses of the g-th group are the g-th part of the K; a single one is continued by all groups. With required
        phrases the tensors must be on the CPU.
        """
        if self.groups == 1:
            return self._choose(totals, totals, pieces, tracker, 0)
        chosen: list[Choice] = []
        size = max(1, totals.size(1) // self.groups)
        for group in range(self.groups):
            first = group * size if totals.size(1) > 1 else 0
            own, ids = totals[:, first : first + size], pieces[:, first : first + size]
            keys = own
            for earlier in chosen:
                same = ids.unsqueeze(-1) == earlier.tokens[:, None, None, :]  # [M, K / G, B, K / G]
                same &= (earlier.live > NEVER)[:, None, None, :]
                keys = keys - self.diversity_penalty * same.sum(-1)
            chosen.append(self._choose(keys, own, ids, tracker, first))
        return Choice(*(torch.cat(parts, dim=1) for parts in zip(*chosen, strict=True)))

    def _choose(self, keys: Tensor, totals: Tensor, pieces: Tensor, tracker: RuleTracker | None, first: int) -> Choice:
        """Choose in the order of `keys` among the continuations of hypotheses `first`, `first` + 1 and so on."""
        width = self.width // self.groups
        if tracker is not None and tracker.requires:
            keys = tracker.shared(keys, pieces, first)
        # Each hypothesis ends once, so among the first 2K are the first K that do not end.
        places = keys.flatten(1).topk(min(2 * width, keys[0].numel()), dim=-1).indices
        totals, tokens = totals.flatten(1).gather(1, places), pieces.flatten(1).gather(1, places)
        parents = places // pieces.size(-1) + first
        ends = tokens == self.eos_id
        endings = totals[:, :width].masked_fill(~ends[:, :width], NEVER)
        order = ends.sort(dim=1, stable=True).indices[:, :width]
        live = totals.masked_fill(ends, NEVER).gather(1, order)
        return Choice(endings, parents[:, :width], live, parents.gather(1, order), tokens.gather(1, order))


_NEVER = -math.inf


def beam_search(
    steps: StepModel,
    sources: Sequence[Sequence[int]],
    limits: Sequence[int],
    *,
    beam_size: int,
    penalty: LengthPenalty,
    n_best: int = 1,
    groups: int = 1,
    diversity_penalty: float = 0.0,
    rules: Sequence[Rules] | None = None,
) -> list[list[Hypothesis]]:
    """Search for the `n_best` hypotheses of every sentence, best first.

    At each step the K best continuations of the K live hypotheses count: those that end join the sentence's
    complete hypotheses, and the K best that do not end are live next. An ending outside the K best is not
    offered, because a normalised score would let short, improbable ones win (Stahlberg and Byrne 2019).

    A sentence is done when its n-th best complete hypothesis scores at least what its best live one could
    reach: log-probabilities only fall and the penalty only grows, so a live hypothesis of log-probability s
    scores at most s / penalty(limit + 1). The `n_best` are therefore those of a search without stopping.

    With several `groups` (diverse beam search, Vijayakumar et al. 2018; they divide `beam_size`) each has K / groups
    hypotheses and chooses among their continuations, one group after the other. Before it compares them, it takes off
    `diversity_penalty` for every hypothesis of the groups before it that goes on with the same piece at this step. The
    end mark costs nothing, and nothing that was taken off counts at later steps or in the result: there the complete
    hypotheses of all groups, without duplicates, are ranked by the score that they would have without groups.

    The `rules[i]` of sentence i narrow what may follow; repetition penalties are taken off whatever is compared, the
    score included, but not the log-probability. Among hypotheses with and without required phrases the beam is shared
    out (see `RuleTracker.shared`). All of it only lowers scores, so the rule for stopping holds.

    `sources` are piece ids without marks, none empty; those of sentence i have at most `limits[i]` pieces.
    Fewer than `n_best` come back where there are not that many (of non-zero probability and within the rules).
    """
    if not sources:
        return []
    longest, device = max(limits), steps.device
    tracker = RuleTracker.of(rules, steps.eos_id)
    choose = Chooser(beam_size, steps.eos_id, groups, diversity_penalty)
    trellis = BackPointers(len(sources), beam_size, longest + 1, n_best, repeats=groups > 1)
    rows, ceilings = np.arange(len(sources)), np.array(limits)  # [M]
    largest_penalty = penalty(ceilings + 1.0)  # [M]
    # Beams are shared out on the host.
    home = torch.device("cpu") if tracker is not None and tracker.requires else device
    with torch.inference_mode():
        state = steps.start(sources, beam_size, longest + 1)
        tokens = torch.full((len(sources), 1), steps.bos_id, device=device)  # [M, K]
        live = torch.zeros(len(sources), 1, dtype=torch.float64, device=home)
        for length in range(longest + 1):
            logits = steps.step(tokens, state).float()  # [M, K, V]
            if tracker is None:
                forced = np.where(ceilings <= length, steps.eos_id, -1)
                values, pieces = _continuations(logits, beam_size + 1, forced)
            else:
                forced = tracker.forced(length, ceilings)
                values, pieces = _ruled_continuations(logits.contiguous(), beam_size + 1, forced, tracker)
            chosen = choose(live.unsqueeze(-1) + values.to(home), pieces.to(home), tracker)
            endings, ended, totals, parents, pieces_now = to_host(chosen)
            trellis.extend(length, rows, parents, pieces_now)
            for place, column in np.argwhere(endings > _NEVER).tolist():
                total = float(endings[place, column])
                score = total / penalty(length + 1.0)
                trellis.finish(int(rows[place]), length, int(ended[place, column]), total, score)
            keep = np.flatnonzero(trellis.thresholds[rows] < totals.max(axis=1) / largest_penalty)
            if not len(keep):
                break
            live, tokens, kept = chosen.live, chosen.tokens.to(device), None
            next_parents = chosen.parents.to(device)
            fewer = len(keep) < len(rows)
            if fewer:
                keep = with_few_moves(keep)
                rows, ceilings, largest_penalty = rows[keep], ceilings[keep], largest_penalty[keep]
                kept = torch.from_numpy(keep).to(device)
                live, next_parents, tokens = live[kept], next_parents[kept], tokens[kept]
            state = steps.select(state, kept, next_parents)
            if tracker is not None:
                tracker.advance(keep if fewer else None, parents[keep], pieces_now[keep])
    return [_hypotheses(trellis, row, rules[row] if rules else None) for row in range(len(sources))]


def _continuations(logits: Tensor, count: int, forced: NDArray[Any]) -> tuple[Tensor, Tensor]:
    """Return the log-probabilities and ids [M, K, B] of the best next pieces of every hypothesis.

    `count` K + 1 of them hold the best K, and the best K besides the end mark, also after diversity penalties for less
    than K of them. Where a piece is `forced` [M] (-1: none), it is the only one.
    """
    values, pieces = top_k(logits, count)
    highest = values[..., :1]
    values, pieces = _with_forced(logits, values, pieces, forced)
    # A hypothesis whose numbers went wrong (NaN) must not win.
    return (values - logsumexp(logits, highest)).nan_to_num_(nan=_NEVER, neginf=_NEVER), pieces


def _ruled_continuations(
    logits: Tensor, count: int, forced: NDArray[Any], tracker: RuleTracker
) -> tuple[Tensor, Tensor]:
    """As `_continuations`, within the rules, and with what brings required phrases forward besides."""
    highest = logits.amax(dim=-1, keepdim=True)
    with tracker.edited(logits, forced):
        wanted = torch.from_numpy(tracker.wanted()).to(logits.device)  # [M, K, W]
        # So many that besides all the wanted ones there are still `count`.
        values, pieces = top_k(logits, count + wanted.size(-1))
        if wanted.size(-1):
            known = (wanted.unsqueeze(-1) == pieces.unsqueeze(-2)).any(dim=-1) | (wanted < 0)
            wanted = wanted.clamp(min=0)
            values = torch.cat([values, logits.gather(-1, wanted).masked_fill(known, _NEVER)], dim=-1)
            pieces = torch.cat([pieces, wanted], dim=-1)
        values, pieces = _with_forced(logits, values, pieces, forced)
    return (values - logsumexp(logits, highest)).nan_to_num_(nan=_NEVER, neginf=_NEVER), pieces


def _with_forced(logits: Tensor, values: Tensor, pieces: Tensor, forced: NDArray[Any]) -> tuple[Tensor, Tensor]:
    if not (forced >= 0).any():
        return values, pieces
    only = torch.from_numpy(forced).to(logits.device)[:, None, None]  # [M, 1, 1]
    ids = only.clamp(min=0).expand_as(values[..., :1])
    alone = logits.gather(-1, ids)
    if (forced >= 0).all():
        return alone, ids
    first = torch.arange(values.size(-1), device=logits.device) == 0
    return torch.where(only < 0, values, torch.where(first, alone, _NEVER)), torch.where(only < 0, pieces, ids)


def _hypotheses(trellis: BackPointers, row: int, rules: Rules | None) -> list[Hypothesis]:
    return [
        Hypothesis(tokens, total + (rules.charge(tokens) if rules else 0.0), score)
        for tokens, total, score in trellis.complete(row)
    ]
