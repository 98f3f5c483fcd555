"""Greedy and beam search over a step function.

A hypothesis is complete when it ends with the end mark; at the length limit nothing else may follow, so the
log-probability of every hypothesis is that of a whole sentence.

Shapes: N sentences of the batch, M of them still searched, K hypotheses of each, V vocabulary.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from translator.decoding.candidates import best_pieces, normaliser
from translator.decoding.penalty import LengthPenalty
from translator.decoding.request import Hypothesis
from translator.decoding.steps import State, Steps
from translator.decoding.trellis import Trellis

_NEVER = -math.inf


def greedy_search(
    steps: Steps,
    sources: Sequence[Sequence[int]],
    limits: Sequence[int],
    *,
    penalty: LengthPenalty | None = None,
) -> list[Hypothesis]:
    """Follow the most probable piece until it is the end mark.

    `sources` are piece ids without marks, none empty; hypothesis i has at most `limits[i]` pieces. Without a
    penalty nothing but the largest logit is looked for, and log-probability and score are NaN.
    """
    if not sources:
        return []
    device, longest = steps.device, max(limits)
    with torch.inference_mode():
        state = steps.start(sources, 1, longest + 1)
        tokens = torch.full((len(sources), 1), steps.bos_id, device=device)  # [M, 1]
        output = torch.full((len(sources), longest + 1), steps.eos_id, device=device)
        totals = torch.zeros(len(sources), device=device)
        rows, active = torch.arange(len(sources), device=device), list(range(len(sources)))
        for length in range(longest + 1):
            logits = steps.step(tokens, state)  # [M, 1, V]
            best = tokens = logits.argmax(dim=-1)
            at_limit = [limits[row] <= length for row in active]
            if any(at_limit):
                tokens = tokens.masked_fill(torch.tensor(at_limit, device=device)[:, None], steps.eos_id)
            if penalty is not None:
                logits = logits.float()
                chosen, highest = (logits.gather(-1, ids.unsqueeze(-1)) for ids in (tokens, best))
                totals[rows] += (chosen - normaliser(logits, highest)).flatten()
            output[rows, length] = tokens.flatten()
            ended = (tokens == steps.eos_id).flatten().tolist()
            if any(ended):
                keep = [place for place, over in enumerate(ended) if not over]
                active = [active[place] for place in keep]
                if not active:
                    break
                kept = torch.tensor(keep, device=device)
                rows, tokens = rows[kept], tokens[kept]
                state = steps.select(state, kept, torch.zeros_like(tokens))
        # The first end mark of a row is where it ended: the columns after it were never written.
        pieces = [row[: row.index(steps.eos_id)] for row in output.tolist()]
        if penalty is None:
            return [Hypothesis(tuple(ids), math.nan, math.nan) for ids in pieces]
        return [
            Hypothesis(tuple(ids), total, total / penalty(len(ids) + 1.0))
            for ids, total in zip(pieces, totals.tolist(), strict=True)
        ]


def beam_search(
    steps: Steps,
    sources: Sequence[Sequence[int]],
    limits: Sequence[int],
    *,
    beam_size: int,
    penalty: LengthPenalty,
    n_best: int = 1,
) -> list[list[Hypothesis]]:
    """Search for the `n_best` hypotheses of every sentence, best first.

    At each step the K best continuations of the K live hypotheses count: those that end join the sentence's
    complete hypotheses, and the K best that do not end are live next. An ending outside the K best is not
    offered, because a normalised score would let short, improbable ones win (Stahlberg and Byrne 2019).

    A sentence is done when its n-th best complete hypothesis scores at least what its best live one could
    reach: log-probabilities only fall and the penalty only grows, so a live hypothesis of log-probability s
    scores at most s / penalty(limit + 1). The `n_best` are therefore those of a search without stopping.

    `sources` are piece ids without marks, none empty; those of sentence i have at most `limits[i]` pieces.
    Fewer than `n_best` come back where there are not that many (of non-zero probability).
    """
    if not sources:
        return []
    device, width, longest = steps.device, beam_size, max(limits)
    with torch.inference_mode():
        state = steps.start(sources, width, longest + 1)
        trellis = Trellis(len(sources), width, longest + 1, device)
        tokens = torch.full((len(sources), width), steps.bos_id, device=device)  # [M, K]
        # All hypotheses of a sentence begin alike: only the first is alive at the first step.
        live = torch.full((len(sources), width), _NEVER, device=device)
        live[:, 0] = 0.0
        largest_penalty = penalty(torch.tensor([limit + 1.0 for limit in limits], device=device))  # [M]
        rows, active = torch.arange(len(sources), device=device), list(range(len(sources)))
        for length in range(longest + 1):
            values, pieces = _continuations(steps, tokens, state, [limits[row] <= length for row in active])
            branches = pieces.size(-1)
            candidates = (live.unsqueeze(-1) + values).flatten(1)  # [M, K * branches]
            # Each hypothesis ends once, so among the best 2K are the best K that do not end.
            candidates, places = candidates.topk(2 * width, dim=-1)
            parents = places // branches
            pieces = pieces.flatten(1).gather(1, places)
            ends = pieces == steps.eos_id

            ending = candidates[:, :width].masked_fill(~ends[:, :width], _NEVER)
            trellis.finish(length, rows, parents[:, :width], ending, ending / penalty(length + 1.0))

            live, order = candidates.masked_fill(ends, _NEVER).topk(width, dim=-1)
            parents, tokens = parents.gather(1, order), pieces.gather(1, order)
            trellis.extend(length, rows, parents, tokens)

            done = (trellis.scores[rows, n_best - 1] >= live[:, 0] / largest_penalty).tolist()
            kept = None
            if any(done):
                keep = [place for place, over in enumerate(done) if not over]
                active = [active[place] for place in keep]
                if not active:
                    break
                kept = torch.tensor(keep, device=device)
                rows, largest_penalty = rows[kept], largest_penalty[kept]
                live, parents, tokens = live[kept], parents[kept], tokens[kept]
            state = steps.select(state, kept, parents)
        return trellis.hypotheses(n_best)


def _continuations(steps: Steps, tokens: Tensor, state: State, at_limit: list[bool]) -> tuple[Tensor, Tensor]:
    """Return the log-probabilities and ids [M, K, K + 1] of the best next pieces of every hypothesis.

    K + 1 of them hold the best K, and the best K besides the end mark.
    """
    logits = steps.step(tokens, state).float()  # [M, K, V]
    values, pieces = best_pieces(logits, tokens.size(1) + 1)
    highest = values[..., :1].clone()
    if any(at_limit):
        limited = torch.tensor(at_limit, device=logits.device)
        values[limited], pieces[limited] = _NEVER, steps.eos_id
        values[limited, :, 0] = logits[limited, :, steps.eos_id]
    # A hypothesis whose numbers went wrong (NaN) must not win.
    return (values - normaliser(logits, highest)).nan_to_num(nan=_NEVER, neginf=_NEVER), pieces
