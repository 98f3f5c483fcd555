"""Beam search over a step model.

A hypothesis is complete when it ends with the end token. At the length limit nothing but the end token may follow, so
the log-probability of every hypothesis is that of a whole sentence.

Shapes: N sentences in the batch, M of them still searched, K hypotheses per sentence, V vocabulary, B continuations
considered per hypothesis, E complete hypotheses found in a step, W tokens that advance a required phrase.
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
from translator.decoding.logits import best_tokens, logsumexp, top_k
from translator.decoding.step_model import StepModel, to_host, with_few_moves

_NEVER = -math.inf


def beam_search(
    step_model: StepModel,
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

    Each step considers the K best continuations of the K live hypotheses: those that end become complete hypotheses,
    and the K best that do not end are the next live ones. An ending outside the K best is not considered, because
    normalised scores would let short, improbable hypotheses win (Stahlberg and Byrne 2019).

    A sentence is done when its n-th best complete hypothesis scores at least as much as its best live one still could:
    log-probabilities only fall and the length penalty only grows, so a live hypothesis of log-probability s scores at
    most s / penalty(limit + 1). The `n_best` are therefore the same as in a search that never stops early.

    With several `groups`, which must divide `beam_size` (diverse beam search, Vijayakumar et al. 2018), each group has
    K / groups hypotheses and chooses among their continuations, one group after the other. For this choice only, a
    token costs `diversity_penalty` for each hypothesis of an earlier group that continues with it at this step; the end
    token is free. The complete hypotheses of all groups are ranked together, without duplicates, by ordinary score.

    `rules[i]` restrict what may follow in sentence i. Repetition penalties lower the score and everything that is
    compared, but not the log-probability. If a sentence has required phrases, the beam is divided among hypotheses
    that contain more and fewer of them (see `RuleTracker.divided`). Rules only lower scores, so the stopping criterion
    still holds.

    `sources` are token ids without special tokens, none empty; a hypothesis of sentence i has at most `limits[i]`
    tokens. A sentence gets fewer than `n_best` hypotheses if no more have a non-zero probability and obey the rules.
    """
    if not sources:
        return []
    longest, device = max(limits), step_model.device
    tracker = RuleTracker.of(rules, step_model.eos_id)
    choose = _Chooser(beam_size, step_model.eos_id, groups, diversity_penalty)
    backpointers = BackPointers(len(sources), beam_size, longest + 1, n_best, repeats=groups > 1)
    sentences, ceilings = np.arange(len(sources)), np.array(limits)  # [M]
    largest_penalty = penalty(ceilings + 1.0)  # [M]
    # A beam with required phrases is divided on the host.
    choice_device = torch.device("cpu") if tracker is not None and tracker.requires else device
    with torch.inference_mode():
        state = step_model.start(sources, beam_size, longest + 1)
        tokens = torch.full((len(sources), 1), step_model.bos_id, device=device)  # [M, K]
        live = torch.zeros(len(sources), 1, dtype=torch.float64, device=choice_device)
        for length in range(longest + 1):
            logits = step_model.step(tokens, state)  # [M, K, V]
            if tracker is None:
                forced = np.where(ceilings <= length, step_model.eos_id, -1)
                values, ids = _continuations(logits, beam_size + 1, forced)
            else:
                forced = tracker.forced(length, ceilings)
                values, ids = _continuations_within_rules(logits.float().contiguous(), beam_size + 1, forced, tracker)
            choice = choose(live.unsqueeze(-1) + values.to(choice_device), ids.to(choice_device), tracker)
            endings, ending_parents, totals, parents, chosen = to_host(choice)
            backpointers.extend(length, sentences, parents, chosen)
            for row, column in np.argwhere(endings > _NEVER).tolist():
                total = float(endings[row, column])
                score = total / penalty(length + 1.0)
                backpointers.finish(int(sentences[row]), length, int(ending_parents[row, column]), total, score)
            keep = np.flatnonzero(backpointers.thresholds[sentences] < totals.max(axis=1) / largest_penalty)
            if not len(keep):
                break
            live, tokens, kept = choice.live, choice.tokens.to(device), None
            next_parents = choice.parents.to(device)
            fewer = len(keep) < len(sentences)
            if fewer:
                keep = with_few_moves(keep)
                sentences, ceilings, largest_penalty = sentences[keep], ceilings[keep], largest_penalty[keep]
                kept = torch.from_numpy(keep).to(device)
                live, next_parents, tokens = live[kept], next_parents[kept], tokens[kept]
            state = step_model.select(state, kept, next_parents)
            if tracker is not None:
                tracker.advance(keep if fewer else None, parents[keep], chosen[keep])
    return [
        [
            Hypothesis(found, total + (rules[sentence].charge(found) if rules else 0.0), score)
            for found, total, score in backpointers.complete(sentence)
        ]
        for sentence in range(len(sources))
    ]


def _continuations(logits: Tensor, count: int, forced: NDArray[Any]) -> tuple[Tensor, Tensor]:
    """Return the log-probabilities and ids [M, K, B] of the best next tokens of every hypothesis.

    With `count` = K + 1, they contain the K best tokens other than the end token. That is enough with diversity
    penalties too, since these concern fewer than K tokens. Sentences with a `forced` token [M] (-1: none) get only it.
    """
    if _is_read_once(logits):
        best = best_tokens(logits, count)
        values, ids = _with_forced(logits, best.logits, best.ids, forced)
        normalizer = best.logsumexp
    else:
        logits = logits.float()  # The CPU compares in fp32 faster than in half precision.
        values, ids = top_k(logits, count)
        highest = values[..., :1]
        values, ids = _with_forced(logits, values, ids, forced)
        normalizer = logsumexp(logits, highest)
    # A hypothesis whose logits are NaN must not win.
    return (values.float() - normalizer).nan_to_num_(nan=_NEVER, neginf=_NEVER), ids


def _is_read_once(logits: Tensor) -> bool:
    """Whether the vocabulary step is that of GPUs, which wait for their memory."""
    return logits.is_cuda


def _continuations_within_rules(
    logits: Tensor, count: int, forced: NDArray[Any], tracker: RuleTracker
) -> tuple[Tensor, Tensor]:
    """As `_continuations`, but only what the rules allow, and with the tokens that advance required phrases added."""
    highest = logits.amax(dim=-1, keepdim=True)
    with tracker.edited(logits, forced):
        wanted = torch.from_numpy(tracker.wanted()).to(logits.device)  # [M, K, W]
        # Enough that `count` remain besides all the wanted ones.
        values, ids = top_k(logits, count + wanted.size(-1))
        if wanted.size(-1):
            known = (wanted.unsqueeze(-1) == ids.unsqueeze(-2)).any(dim=-1) | (wanted < 0)
            wanted = wanted.clamp(min=0)
            values = torch.cat([values, logits.gather(-1, wanted).masked_fill(known, _NEVER)], dim=-1)
            ids = torch.cat([ids, wanted], dim=-1)
        values, ids = _with_forced(logits, values, ids, forced)
    return (values - logsumexp(logits, highest)).nan_to_num_(nan=_NEVER, neginf=_NEVER), ids


def _with_forced(logits: Tensor, values: Tensor, ids: Tensor, forced: NDArray[Any]) -> tuple[Tensor, Tensor]:
    """Replace the continuations [M, K, B] of every sentence that has a `forced` token [M] by that token alone."""
    if not (forced >= 0).any():
        return values, ids
    only = torch.from_numpy(forced).to(logits.device)[:, None, None]  # [M, 1, 1]
    forced_ids = only.clamp(min=0).expand_as(values[..., :1])
    forced_values = logits.gather(-1, forced_ids)
    if (forced >= 0).all():
        return forced_values, forced_ids
    first = torch.arange(values.size(-1), device=logits.device) == 0
    values = torch.where(only < 0, values, torch.where(first, forced_values, _NEVER))
    return values, torch.where(only < 0, ids, forced_ids)


class _Choice(NamedTuple):
    """The continuations chosen in a step, best first within each group; a total of -inf means none."""

    endings: Tensor
    """Totals [M, E] of those that end."""
    ending_parents: Tensor
    """Indices [M, E] of the hypotheses that they continue."""
    live: Tensor
    """Totals [M, K] of those that do not end."""
    parents: Tensor
    """Indices [M, K] of the hypotheses that they continue."""
    tokens: Tensor
    """Token ids [M, K] that they continue with."""


@dataclass(frozen=True)
class _Chooser:
    """Chooses `width` continuations per sentence, in `groups` that avoid each other's tokens."""

    width: int
    eos_id: int
    groups: int
    diversity_penalty: float
    """Cost of a token in nats, for each hypothesis of an earlier group that continues with it."""

    def __call__(self, totals: Tensor, ids: Tensor, tracker: RuleTracker | None) -> _Choice:
        """Choose among continuations with `totals` and token `ids` [M, K, B].

        The K hypotheses are divided among the groups in order; a single one (at the first step) is continued by all
        groups. If phrases are required, the tensors must be on the CPU.
        """
        if self.groups == 1:
            return self._choose(totals, totals, ids, tracker, 0)
        choices: list[_Choice] = []
        size = max(1, totals.size(1) // self.groups)
        for group in range(self.groups):
            first = group * size if totals.size(1) > 1 else 0
            own, own_ids = totals[:, first : first + size], ids[:, first : first + size]
            keys = own
            for earlier in choices:
                same = own_ids.unsqueeze(-1) == earlier.tokens[:, None, None, :]  # [M, K / groups, B, K / groups]
                same &= (earlier.live > _NEVER)[:, None, None, :]
                keys = keys - self.diversity_penalty * same.sum(-1)
            choices.append(self._choose(keys, own, own_ids, tracker, first))
        return _Choice(*(torch.cat(parts, dim=1) for parts in zip(*choices, strict=True)))

    def _choose(self, keys: Tensor, totals: Tensor, ids: Tensor, tracker: RuleTracker | None, first: int) -> _Choice:
        """Choose the continuations with the largest `keys`; they continue hypotheses `first`, `first` + 1, ..."""
        width = self.width // self.groups
        if tracker is not None and tracker.requires:
            keys = tracker.divided(keys, ids, first)
        # Each hypothesis ends in one way only, so the first 2K contain the first K that do not end.
        best = keys.flatten(1).topk(min(2 * width, keys[0].numel()), dim=-1).indices
        totals, tokens = totals.flatten(1).gather(1, best), ids.flatten(1).gather(1, best)
        parents = best // ids.size(-1) + first
        ends = tokens == self.eos_id
        endings = totals[:, :width].masked_fill(~ends[:, :width], _NEVER)
        order = ends.sort(dim=1, stable=True).indices[:, :width]
        live = totals.masked_fill(ends, _NEVER).gather(1, order)
        return _Choice(endings, parents[:, :width], live, parents.gather(1, order), tokens.gather(1, order))
