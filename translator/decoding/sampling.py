"""Sampling: hypotheses drawn at random, piece by piece, from what the model believes.

The draws for a sentence are a function of its seed and its own logits, so that neighbours do not matter.

Shapes: M sentences still searched, K samples of each, V vocabulary.
"""

import math
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from translator.decoding.constraints.rules import Rules
from translator.decoding.generate import ActiveHypotheses, generate
from translator.decoding.hypothesis import Hypothesis, LengthPenalty
from translator.decoding.logits import top_k
from translator.decoding.step_model import StepModel

_BLOCK = 64
# Pieces among which the most probable ones are looked for first; a nucleus seldom holds more.
_FEW = 24


def seed_of_source(seed: int, source: Sequence[int]) -> int:
    """Return the 64-bit seed of a source: a fixed function of the arguments, on every machine."""
    text = ",".join(str(int(number)) for number in (seed, *source))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def sample_search(
    steps: StepModel,
    sources: Sequence[Sequence[int]],
    limits: Sequence[int],
    *,
    samples: int,
    seeds: Sequence[int],
    penalty: LengthPenalty,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    rules: Sequence[Rules] | None = None,
) -> list[list[Hypothesis]]:
    """Draw `samples` independent hypotheses for every sentence, in the order of drawing; the same may come twice.

    Logits are divided by `temperature`; then only those pieces are left that are among the `top_k` most probable (0:
    all) and among the fewest that together have the probability `top_p`, and what is as probable as the last of them.
    Log-probabilities are the model's, as if nothing had been divided or left out.

    `sources` are piece ids without marks, none empty; those of sentence i have at most `limits[i]` pieces and obey
    `rules[i]`, and `seeds[i]` decides its draws. A sample that would end without its required phrases, or has just room
    for them, goes on with the most probable piece of one of them. A sample to which nothing is allowed is left out.
    """
    draws = _Draws(seeds, limits, samples, 1.0 / temperature, top_k, top_p)
    return generate(steps, sources, limits, samples, draws, penalty, rules)


class _Draws:
    """Draws from the model's distribution by inverting its cumulative sums, in the order of piece ids.

    In the order of probabilities, pieces that are nearly alike would change places with the last bits of their logits,
    which depend on a sentence's neighbours.
    """

    def __init__(
        self, seeds: Sequence[int], limits: Sequence[int], samples: int, sharpness: float, top_k: int, top_p: float
    ) -> None:
        self._sharpness, self._top_k, self._top_p = sharpness, top_k, top_p
        self._uniforms = np.zeros((len(seeds), samples, max(limits, default=0) + 1))
        for row, (seed, limit) in enumerate(zip(seeds, limits, strict=True)):
            generator = np.random.Generator(np.random.Philox(key=seed))
            self._uniforms[row, :, : limit + 1] = generator.random((samples, limit + 1))

    def __call__(self, logits: Tensor, walkers: ActiveHypotheses) -> tuple[Tensor, Tensor]:
        """See `ChooseNext`."""
        logits = logits.float()
        highest = logits.amax(dim=-1, keepdim=True)
        # Where no number makes sense, the first piece is drawn; the walk sees that it is worth nothing.
        weights = ((logits - highest) * self._sharpness).exp_().nan_to_num_(nan=0.0)
        if self._top_k or self._top_p < 1.0:
            weights.masked_fill_(weights < self._least(weights), 0.0)
        uniforms = self._uniforms[walkers.rows[:, None], walkers.numbers, walkers.length]  # [M, K]
        spots = torch.from_numpy(uniforms).to(logits.device).unflatten(1, (logits.size(1), -1))
        return _invert(weights, spots).flatten(1), highest

    def _least(self, weights: Tensor) -> Tensor:
        """Return the least weight [M, K, 1] that is left to be drawn."""
        least = torch.zeros_like(weights[..., :1])
        if self._top_k:
            least = top_k(weights, self._top_k)[0][..., -1:]
        if self._top_p < 1.0:
            mass = weights.sum(dim=-1, keepdim=True, dtype=torch.float64) * self._top_p
            nucleus = _least_of_nucleus(weights.flatten(0, 1), mass.flatten(0, 1), _FEW)
            least = torch.maximum(least, nucleus.view_as(least))
        return least


def _least_of_nucleus(weights: Tensor, mass: Tensor, count: int) -> Tensor:
    """Return the least [R, 1] of the fewest largest `weights` [R, V] whose sum reaches `mass` [R, 1].

    Looks among the `count` largest, and among all where those are not enough.
    """
    if weights.is_cuda:
        count = weights.size(-1)
    best, _ = top_k(weights, count)
    before = (best.cumsum(dim=-1, dtype=torch.float64) < mass).sum(dim=-1, keepdim=True)
    least = best.gather(-1, before.clamp(max=best.size(-1) - 1))
    if best.size(-1) < weights.size(-1):
        rest = (before.squeeze(-1) == best.size(-1)).nonzero().squeeze(-1)
        if len(rest):
            least[rest] = _least_of_nucleus(weights[rest], mass[rest], weights.size(-1))
    return least


def _invert(weights: Tensor, spots: Tensor) -> Tensor:
    """Return the pieces [..., S] at which the cumulative sums of `weights` [..., V] pass the shares `spots` [..., S].

    Sums over blocks first, then inside one: a running sum over the vocabulary takes many times as long.
    """
    blocks = functional.pad(weights, (0, -weights.size(-1) % _BLOCK)).unflatten(-1, (-1, _BLOCK))
    block, spots = _pass(blocks.sum(dim=-1), spots)
    inside = blocks.gather(-2, block.unsqueeze(-1).expand(*block.shape, _BLOCK))  # [..., S, 64]
    place, _ = _pass(inside, spots.unsqueeze(-1))
    # Without any weight that is behind the last piece.
    return (block * _BLOCK + place.squeeze(-1)).clamp_(max=weights.size(-1) - 1)


def _pass(weights: Tensor, spots: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the sums of `weights` [..., V] pass the shares `spots` [..., S], and how far into that weight."""
    sums = weights.cumsum(dim=-1, dtype=torch.float64)
    whole = sums[..., -1:]
    # A product may be rounded up to the whole, behind which there is nothing.
    targets = torch.minimum(spots * whole, torch.nextafter(whole, torch.zeros_like(whole)))
    places = torch.searchsorted(sums, targets, right=True).clamp_(max=weights.size(-1) - 1)
    own = weights.gather(-1, places).double()
    return places, ((targets - (sums.gather(-1, places) - own)) / own).clamp(0.0, math.nextafter(1.0, 0.0))
