"""Which training pairs are kept, judged by their text: blank sides, leaks, repetitions.

Sentences are compared by 64-bit hashes (BLAKE2b) of their text without surrounding white space: 8 bytes of host memory
per sentence, and for a million pairs a chance of about 1 in 30 million that any is dropped by mistake.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

REASONS = {
    "blank": "blank source or target",
    "leak": "source or target is in valid or test",
    "duplicate": "repetition of an earlier pair",
    "length": "longer than data.max_length pieces",
    "length_ratio": "ratio of lengths above data.max_length_ratio",
}
"""Why a training pair is dropped, in the order of the checks; only the first reason counts."""
KEPT = 0
_CODES = {reason: code for code, reason in enumerate(REASONS, start=1)}


def reason_of(code: int) -> str:
    """Return the reason with a code of `select` other than `KEPT`."""
    return list(REASONS)[code - 1]


@dataclass(frozen=True)
class Sentences:
    """The hashes of a corpus, uint64 [N] for each side."""

    source: np.ndarray
    target: np.ndarray

    def __len__(self) -> int:
        return len(self.source)

    @classmethod
    def joined(cls, parts: Sequence["Sentences"]) -> "Sentences":
        """Join several corpora into one."""
        if len(parts) == 1:
            return parts[0]
        return cls(np.concatenate([part.source for part in parts]), np.concatenate([part.target for part in parts]))

    def __getitem__(self, part: slice) -> "Sentences":
        return Sentences(self.source[part], self.target[part])


def scan(pairs: Iterable[tuple[str, str]]) -> Sentences:
    """Read pairs to the end and hash both sides."""
    sides = bytearray(), bytearray()
    for pair in pairs:
        for side, text in zip(sides, pair, strict=True):
            side += _hash(text)
    source, target = (np.frombuffer(bytes(side), dtype=np.uint64) for side in sides)
    return Sentences(source, target)


def select(
    train: Sentences,
    held_out: Sequence[Sentences],
    drop_duplicates: bool,
    drop_leaks: bool,
    targets: np.ndarray | None = None,
) -> np.ndarray:
    """Return for each training pair `KEPT` or the code of the reason why it is dropped (uint8 [N]).

    `targets` are indices of the target languages (int [N]) if there are several. Then a sentence is a leak on either
    side, and the same pair for another target language is not a repetition.
    """
    codes = np.full(len(train), KEPT, dtype=np.uint8)
    codes[are_blank(train)] = _CODES["blank"]
    if drop_leaks and held_out:
        sides = [np.concatenate([getattr(part, side) for part in held_out]) for side in ("source", "target")]
        if targets is not None:
            sides = [np.concatenate(sides)] * 2
        codes[(codes == KEPT) & _among(train, sides)] = _CODES["leak"]
    if drop_duplicates:
        keep = codes == KEPT
        repeated = keep.copy()
        hashes = _pair_hashes(train)
        if targets is not None:
            hashes += targets.astype(np.uint64) * np.uint64(0x165667B19E3779F9)
        repeated[keep] = ~_first_occurrences(hashes[keep])
        codes[repeated] = _CODES["duplicate"]
    return codes


def are_blank(sentences: Sentences) -> np.ndarray:
    """Return which pairs have a side without text (bool [N])."""
    return _among(sentences, [np.frombuffer(_hash(""), dtype=np.uint64)] * 2)


def fits(
    source_length: int, target_length: int, max_length: int, max_ratio: float, has_tag: bool = False
) -> str | None:
    """Judge the lengths of a pair in pieces: None if it is kept, else the reason.

    A language tag before the source counts in the length, but not in the ratio.
    """
    shorter, longer = sorted((source_length, target_length))
    if shorter == 0:
        return "blank"
    if longer > max_length or source_length + has_tag > max_length:
        return "length"
    if longer > _SPARED_LENGTH and longer > max_ratio * shorter:
        return "length_ratio"
    return None


_SPARED_LENGTH = 10


def _hash(text: str) -> bytes:
    return blake2b(text.strip().encode(), digest_size=8).digest()


def _among(train: Sentences, sides: Sequence[Any]) -> np.ndarray:
    return np.isin(train.source, sides[0]) | np.isin(train.target, sides[1])


def _pair_hashes(sentences: Sentences) -> np.ndarray:
    # Different odd factors, so that (a, b) and (b, a) differ; both hashes are uniform already.
    return sentences.source * np.uint64(0x9E3779B97F4A7C15) + sentences.target * np.uint64(0xC2B2AE3D27D4EB4F)


def _first_occurrences(values: np.ndarray) -> np.ndarray:
    first = np.zeros(len(values), dtype=bool)
    first[np.unique(values, return_index=True)[1]] = True
    return first
