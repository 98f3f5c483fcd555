"""Seeds for training: the random state of a step is a pure function of (seed, step, rank).

So no random state must be saved to resume exactly.
"""

import numpy as np
import torch


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Seed PyTorch on all devices for one optimizer step of one process."""
    mixed = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + rank * 0x94D049BB133111EB) % 2**63
    # As torch.manual_seed does, without its search for devices that do not exist.
    torch.default_generator.manual_seed(mixed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(mixed)


def seed_of(*numbers: int) -> int:
    """Mix numbers (each from 0 to 2^32 - 1) into a seed of 31 bits."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0] >> 1)
