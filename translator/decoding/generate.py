"""Greedy search, and the generation loop that it shares with sampling.

In this loop hypotheses are not compared with each other: each one is continued token by token until it ends. Greedy
search and sampling differ only in how the next token is chosen.

Shapes: N sentences in the batch, M of them still active, K hypotheses per sentence, V vocabulary; L is K, or 1 while
all hypotheses of a sentence are the same.
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
from translator.decoding.step_model import StepModel, to_host, with_few_moves
from translator.errors import ConfigError


def greedy_search(
    step_model: StepModel,
    sources: Sequence[Sequence[int]],
    limits: Sequence[int],
    *,
    penalty: LengthPenalty | None = None,
    rules: Sequence[Rules] | None = None,
) -> list[Hypothesis | None]:
    """Follow the most probable token until it is the end token.

    `sources` are token ids without special tokens, none empty. Hypothesis i has at most `limits[i]` tokens and obeys
    `rules[i]`; it is None if the rules allow nothing or the logits are NaN. Without a penalty only the largest logit is
    computed, and log-probabilities and scores are NaN. Raises `ConfigError` if the rules require phrases.
    """
    found = generate(step_model, sources, limits, 1, _most_probable, penalty, rules)
    return [hypotheses[0] if hypotheses else None for hypotheses in found]


class ActiveHypotheses(NamedTuple):
    """The hypotheses that are being continued: hypothesis `indices[m, k]` of sentence `sentences[m]`."""

    sentences: NDArray[Any]
    """Indices [M] in the batch."""
    indices: NDArray[Any]
    """Indices [M, K] among the hypotheses of the sentence."""
    length: int
    """The number of tokens that they have."""


class ChooseNext(Protocol):
    """How the next token of every active hypothesis is chosen."""

    def __call__(self, logits: Tensor, active: ActiveHypotheses) -> tuple[Tensor, Tensor]:
        """Return the next tokens [M, K] and the largest logits [M, L, 1], given logits [M, L, V].

        The logits must not be changed.
        """
        ...


def generate(
    step_model: StepModel,
    sources: Sequence[Sequence[int]],
    limits: Sequence[int],
    width: int,
    choose_next: ChooseNext,
    penalty: LengthPenalty | None,
    rules: Sequence[Rules] | None,
) -> list[list[Hypothesis]]:
    """Return `width` hypotheses of every sentence, in order; `greedy_search` describes the other arguments.

    A hypothesis that cannot be continued, because the rules allow nothing or its logits are NaN, is left out. Without a
    penalty, log-probabilities and scores are NaN. Raises `ConfigError` if the rules require phrases.
    """
    if rules is not None and any(rule.required for rule in rules):
        raise ConfigError(["required: greedy search and sampling cannot place required phrases; use beam search"])
    if not sources:
        return []
    longest, device = max(limits), step_model.device
    tracker = RuleTracker.of(rules, step_model.eos_id)
    generation = _Generation(limits, width, step_model.eos_id)
    with torch.inference_mode():
        state = step_model.start(sources, width, longest + 1)
        tokens = torch.full((len(sources), 1), step_model.bos_id, device=device)
        for length in range(longest + 1):
            logits = step_model.step(tokens, state)  # [M, 1, V], then [M, K, V]
            single = logits.size(1) == 1
            active = ActiveHypotheses(generation.sentences, generation.indices, length)
            if tracker is None:
                forced = np.where(generation.ceilings <= length, step_model.eos_id, -1)
                tokens, gains = _next_tokens(logits, choose_next, active, forced, penalty is not None)
            else:
                forced = tracker.forced(length, generation.ceilings)
                tokens, gains = _next_tokens_within_rules(logits, choose_next, active, forced, tracker)
            chosen, chosen_gains = to_host([tokens, gains])
            generation.record(length, chosen, chosen_gains)
            keep, columns = generation.drop_finished()
            if not len(generation.sentences):
                break
            if keep is not None:
                chosen = np.take_along_axis(chosen[keep], columns, axis=1)
                tokens = torch.from_numpy(chosen).to(device)
            parents = np.zeros_like(columns) if single else columns
            if keep is not None or (single and width > 1):
                kept = None if keep is None or len(keep) == len(logits) else torch.from_numpy(keep).to(device)
                state = step_model.select(state, kept, torch.from_numpy(parents).to(device))
            if tracker is not None:
                tracker.advance(keep, parents, chosen)
    return [generation.hypotheses(index, penalty, rules[index] if rules else None) for index in range(len(sources))]


class _Generation:
    """The tokens chosen so far for every hypothesis, and which hypotheses are still active."""

    def __init__(self, limits: Sequence[int], width: int, eos_id: int) -> None:
        self.sentences, self.ceilings = np.arange(len(limits)), np.array(limits)  # [M]
        self.indices = np.tile(np.arange(width), (len(limits), 1))  # [M, K]
        self._columns = self.indices
        self._finished = np.zeros(self.indices.shape, bool)  # [M, K]
        self._any_ended = False
        self._eos_id = eos_id
        self._tokens = np.full((max(limits) + 1, *self.indices.shape), eos_id, np.int32)
        self._totals = np.zeros(self.indices.shape)

    def record(self, length: int, tokens: NDArray[Any], gains: NDArray[Any]) -> None:
        """Add the `tokens` [M, K] and log-probabilities `gains` [M, K] of a step; a gain that is not finite ends it."""
        where = self.sentences[:, None], self.indices
        self._tokens[length, *where] = tokens
        self._totals[where] += np.where(self._finished, 0.0, gains)
        ended = ((tokens == self._eos_id) | ~np.isfinite(gains)) & ~self._finished
        self._any_ended = bool(ended.any())
        self._finished |= ended

    def drop_finished(self) -> tuple[NDArray[Any] | None, NDArray[Any]]:
        """Drop finished sentences and hypotheses; return the indices of those kept: sentences [m], hypotheses [m, k].

        The first is None if everything is kept. A sentence is dropped when all its hypotheses are finished. Finished
        hypotheses of other sentences are dropped only when a quarter of the columns goes: all sentences have the same
        number of rows in a model's cache, and rearranging it for a few rows costs more than it saves.
        """
        if not self._any_ended:
            return None, self._columns
        keep = with_few_moves(np.flatnonzero(~self._finished.all(axis=1)))
        finished = self._finished[keep]
        needed = int((~finished).sum(axis=1).max(initial=0))
        narrower = needed <= 0.75 * finished.shape[1]
        if len(keep) == len(self.sentences) and not narrower:
            return None, self._columns
        columns = np.argsort(finished, axis=1, kind="stable")[:, :needed] if narrower else self._columns[keep]
        self.sentences, self.ceilings = self.sentences[keep], self.ceilings[keep]
        self.indices = np.take_along_axis(self.indices[keep], columns, axis=1)
        self._finished = np.take_along_axis(finished, columns, axis=1)
        self._columns = np.tile(np.arange(columns.shape[1]), (len(keep), 1))
        return keep, columns

    def hypotheses(self, sentence: int, penalty: LengthPenalty | None, rules: Rules | None) -> list[Hypothesis]:
        """Return the hypotheses of a sentence, each up to its first end token."""
        found = []
        for chosen, total in zip(self._tokens[:, sentence].T.tolist(), self._totals[sentence].tolist(), strict=True):
            if not math.isfinite(total):
                continue
            tokens = tuple(chosen[: chosen.index(self._eos_id)])
            if penalty is None:
                found.append(Hypothesis(tokens, math.nan, math.nan))
            else:
                charge = rules.charge(tokens) if rules else 0.0
                found.append(Hypothesis(tokens, total, (total - charge) / penalty(len(tokens) + 1.0)))
        return found


def _next_tokens(
    logits: Tensor, choose_next: ChooseNext, active: ActiveHypotheses, forced: NDArray[Any], with_scores: bool
) -> tuple[Tensor, Tensor]:
    """Return the next tokens and their log-probabilities [M, K]; the logits are overwritten.

    Without scores, any number stands in for a log-probability: finite if the largest logit is.
    """
    tokens, highest = choose_next(logits, active)
    tokens = _with_forced(tokens, forced)
    if not with_scores:
        return tokens, highest.float().squeeze(-1).expand_as(tokens)
    return tokens, _log_probabilities(logits, tokens, highest)


def _next_tokens_within_rules(
    logits: Tensor, choose_next: ChooseNext, active: ActiveHypotheses, forced: NDArray[Any], tracker: RuleTracker
) -> tuple[Tensor, Tensor]:
    """As `_next_tokens`, but only what the rules allow; a log-probability of -inf means that nothing is allowed."""
    logits = logits.float().contiguous()
    highest = logits.amax(dim=-1, keepdim=True)
    with tracker.edited(logits, forced):
        tokens = _with_forced(choose_next(logits, active)[0], forced)
        allowed = _logits_of(logits, tokens) > -math.inf
    return tokens, _log_probabilities(logits, tokens, highest).masked_fill(~allowed, -math.inf)


def _with_forced(tokens: Tensor, forced: NDArray[Any]) -> Tensor:
    """Replace the `tokens` [M, K] of every sentence that has a `forced` token [M] (-1: none)."""
    if not (forced >= 0).any():
        return tokens
    only = torch.from_numpy(forced).to(tokens.device)[:, None]
    return torch.where(only >= 0, only, tokens)


def _logits_of(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return the logits [M, K] of `tokens` [M, K], given those of the whole vocabulary [M, L, V]."""
    return logits.gather(-1, tokens.reshape(*logits.shape[:2], -1)).flatten(1)


def _log_probabilities(logits: Tensor, tokens: Tensor, highest: Tensor) -> Tensor:
    """Return the log-probabilities [M, K] of `tokens` [M, K]; the logits [M, L, V] are overwritten."""
    if not logits.is_cuda:
        logits = logits.float()  # A GPU does without a copy of all logits, which the CPU makes faster than parts of it.
    chosen = torch.unflatten(_logits_of(logits, tokens).float(), 1, (logits.size(1), -1))
    return (chosen - logsumexp(logits, highest)).flatten(1)


def _most_probable(logits: Tensor, active: ActiveHypotheses) -> tuple[Tensor, Tensor]:
    highest, tokens = top_k(logits, 1)
    return tokens.squeeze(-1), highest
