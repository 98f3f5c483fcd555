"""Pairs that are nearly the same as an earlier one, by MinHash (Broder 1997) of their characters.

A signature has 32 bytes: for each of 32 hash functions, the lowest byte of the smallest hash of all sequences of five
characters. Two pairs with a share s of their sequences in common (Jaccard) agree in each byte with a probability of s.
Pairs are compared if they agree in one of four groups of eight bytes, and are nearly the same if they agree in 26 of
the 32 (0.8). Of pairs with s = 0.9, nine of ten are found; with s = 0.95, 98 of 100.
"""

from collections.abc import Sequence

import numpy as np

from translator.data.filters.pair_filter import Pair

HASHES, GROUPS, AGREEING = 32, 4, 26
_SEQUENCE = 5
_FACTORS = np.random.default_rng(20_261).integers(1 << 63, size=(HASHES + _SEQUENCE, 1), dtype=np.uint64) | np.uint64(1)
_SHIFT = np.uint64(32)


def signatures(pairs: Sequence[Pair]) -> np.ndarray:
    """Return the signature of every pair (uint8 [N, 32]); the case of letters and spaces do not count."""
    if not pairs:
        return np.zeros((0, HASHES), dtype=np.uint8)
    texts = ["\n".join("".join(side.lower().split()) for side in pair) for pair in pairs]
    # Padded, so that a sequence begins with every character. Those that begin in the padding belong to no text.
    lengths = np.array([len(text) for text in texts])
    starts = np.cumsum(lengths + _SEQUENCE - 1) - lengths - _SEQUENCE + 1
    bounds = np.stack([starts, starts + lengths], axis=1).ravel()[:-1]
    padding = "\0" * (_SEQUENCE - 1)
    characters = np.frombuffer((padding.join(texts) + padding).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    count = len(characters) - _SEQUENCE + 1
    sequences = np.zeros(count, dtype=np.uint64)
    for offset in range(_SEQUENCE):
        sequences += characters[offset : offset + count] * _FACTORS[HASHES + offset]
    sequences ^= sequences >> _SHIFT
    found = np.empty((len(pairs), HASHES), dtype=np.uint8)
    for index in range(HASHES):
        hashes = sequences * _FACTORS[index]
        # The high bits depend on all bits of the sequence, the low ones do not.
        found[:, index] = (np.minimum.reduceat(hashes, bounds)[::2] >> _SHIFT).astype(np.uint8)
    return found


def repeat_nearly(found: np.ndarray) -> np.ndarray:
    """Return which of the pairs with these signatures (uint8 [N, 32]) are nearly the same as an earlier one (bool [N]).

    Within a group, each is compared with the pair before it.
    """
    repeated = np.zeros(len(found), dtype=bool)
    for keys in np.ascontiguousarray(found).view(np.uint64).T:
        order = np.argsort(keys, kind="stable")
        same = np.flatnonzero(keys[order[1:]] == keys[order[:-1]])
        earlier, later = order[same], order[same + 1]
        agreeing = (found[earlier] == found[later]).sum(axis=1)
        repeated[later[agreeing >= AGREEING]] = True
    return repeated
