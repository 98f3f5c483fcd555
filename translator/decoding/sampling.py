"""Sampling: hypotheses drawn at random from the model's distribution, token by token.

The draws for a sentence depend only on its seed and its own logits, not on the other sentences of the batch.

Shapes: M sentences still active, K samples per sentence, V vocabulary, R rows, S samples per row; L is K, or 1 while
all samples of a sentence are the same.
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
# The nucleus is first looked for among this many most probable tokens; it is seldom larger.
_FEW = 24


def seed_of_source(seed: int, source: Sequence[int]) -> int:
    """Return the 64-bit seed of a source: a fixed function of the arguments, the same on every machine."""
    text = ",".join(str(int(number)) for number in (seed, *source))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def sample_search(
    step_model: StepModel,
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
    """Draw `samples` independent hypotheses of every sentence, in the order of drawing; they may repeat.

    Logits are divided by `temperature`. Then a token is kept if it is among the `top_k` most probable (0: all) and
    among the fewest that together have probability `top_p`; ties with the last token kept are kept too.
    Log-probabilities are the model's own, before this division and selection.

    `sources` are token ids without special tokens, none empty. Samples of sentence i have at most `limits[i]` tokens,
    obey `rules[i]` and are determined by `seeds[i]`. A sample for which the rules allow nothing is left out. Raises
    `ConfigError` if the rules require phrases.
    """
    draws = _Draws(seeds, limits, samples, 1.0 / temperature, top_k, top_p)
    return generate(step_model, sources, limits, samples, draws, penalty, rules)


class _Draws:
    """Draws tokens by inverting the cumulative distribution, in the order of token ids.

    In the order of probabilities, tokens that are almost equally probable would swap with the last bits of their
    logits, which depend on the other sentences of the batch.
    """

    def __init__(
        self, seeds: Sequence[int], limits: Sequence[int], samples: int, sharpness: float, top_k: int, top_p: float
    ) -> None:
        self._sharpness, self._top_k, self._top_p = sharpness, top_k, top_p
        self._uniforms = np.zeros((len(seeds), samples, max(limits, default=0) + 1))
        for index, (seed, limit) in enumerate(zip(seeds, limits, strict=True)):
            generator = np.random.Generator(np.random.Philox(key=seed))
            self._uniforms[index, :, : limit + 1] = generator.random((samples, limit + 1))

    def __call__(self, logits: Tensor, active: ActiveHypotheses) -> tuple[Tensor, Tensor]:
        """See `ChooseNext`."""
        logits = logits.float()
        highest = logits.amax(dim=-1, keepdim=True)
        # If the logits are NaN some token is drawn; `generate` sees that its log-probability is not finite.
        weights = ((logits - highest) * self._sharpness).exp_().nan_to_num_(nan=0.0)
        if self._top_k or self._top_p < 1.0:
            weights.masked_fill_(weights < self._least(weights), 0.0)
        uniforms = self._uniforms[active.sentences[:, None], active.indices, active.length]  # [M, K]
        shares = torch.unflatten(torch.from_numpy(uniforms).to(logits.device), 1, (logits.size(1), -1))
        return _invert(weights, shares).flatten(1), highest

    def _least(self, weights: Tensor) -> Tensor:
        """Return the least weight [M, L, 1] that may still be drawn."""
        least = torch.zeros_like(weights[..., :1])
        if self._top_k:
            least = top_k(weights, self._top_k)[0][..., -1:]
        if self._top_p < 1.0:
            mass = weights.sum(dim=-1, keepdim=True, dtype=torch.float64) * self._top_p
            nucleus = _least_of_nucleus(weights.flatten(0, 1), mass.flatten(0, 1), _FEW)
            least = torch.maximum(least, nucleus.view_as(least))
        return least


def _least_of_nucleus(weights: Tensor, mass: Tensor, count: int) -> Tensor:
    """Return the smallest weight [R, 1] in the nucleus: the fewest largest `weights` [R, V] that sum to `mass` [R, 1].

    It is looked for among the `count` largest weights first, and among all of them in rows where that is not enough.
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


def _invert(weights: Tensor, shares: Tensor) -> Tensor:
    """Return the ids [..., S] at which the cumulative sums of `weights` [..., V] pass `shares` [..., S] of the total.

    The search is over sums of blocks first, then inside one block: a cumulative sum of the whole vocabulary takes many
    times as long.
    """
    padded = functional.pad(weights, (0, -weights.size(-1) % _BLOCK))
    blocks = torch.unflatten(padded, -1, (-1, _BLOCK))
    block, shares = _pass(blocks.sum(dim=-1), shares)
    inside = blocks.gather(-2, block.unsqueeze(-1).expand(*block.shape, _BLOCK))  # [..., S, 64]
    offset, _ = _pass(inside, shares.unsqueeze(-1))
    # If all weights are zero, this would be past the last token.
    return (block * _BLOCK + offset.squeeze(-1)).clamp_(max=weights.size(-1) - 1)


def _pass(weights: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Return the indices at which the cumulative sums of `weights` [..., V] pass `shares` [..., S] of their total.

    Also returns how far into the weight at that index this is, from 0 to 1.
    """
    sums = weights.cumsum(dim=-1, dtype=torch.float64)
    whole = sums[..., -1:]
    # The product may be rounded up to the total, and no cumulative sum is larger than that.
    targets = torch.minimum(shares * whole, torch.nextafter(whole, torch.zeros_like(whole)))
    indices = torch.searchsorted(sums, targets, right=True).clamp_(max=weights.size(-1) - 1)
    own = weights.gather(-1, indices).double()
    return indices, ((targets - (sums.gather(-1, indices) - own)) / own).clamp(0.0, math.nextafter(1.0, 0.0))
