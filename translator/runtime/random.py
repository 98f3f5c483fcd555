"""Random numbers of training: a seed for every step, and dropout masks drawn cheaply.

The random state of a step is a pure function of (seed, step, rank), so it needs not be saved to resume exactly.
"""

import numpy as np
import torch
from torch import Tensor

_LEVELS = 1 << 16


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Seed PyTorch, on all devices, for one optimizer step of one process."""
    mixed = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + rank * 0x94D049BB133111EB) % 2**63
    # What torch.manual_seed does, without looking for devices that are not there.
    torch.default_generator.manual_seed(mixed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(mixed)


def seed_of(*numbers: int) -> int:
    """Mix numbers (each from 0 to 2^32 - 1) into a seed of 31 bits."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0] >> 1)


def dropout_scale(like: Tensor, probability: float) -> Tensor:
    """Draw a dropout mask in the shape and dtype of `like`: 0 with `probability`, else 1 / (1 - probability).

    The probability is rounded to 1 / 65,536 and the scale with it, so that the expectation is exactly 1. On the CPU
    four masks come from one 64-bit draw; `torch.nn.functional.dropout` takes six times as long there.
    """
    if like.device.type != "cpu":
        scale = torch.empty_like(like)
        return scale.bernoulli_(1.0 - probability).div_(1.0 - probability)
    dropped = round(probability * _LEVELS)
    draws = torch.empty((like.numel() + 3) // 4, dtype=torch.int64)
    # The whole 64-bit range: random_() alone would leave the sign bit clear.
    draws.random_(-(2**63), None)
    bits = draws.view(torch.int16)[: like.numel()].view(like.shape)
    kept = bits >= dropped - _LEVELS // 2
    return kept.to(like.dtype).mul_(_LEVELS / (_LEVELS - dropped))
