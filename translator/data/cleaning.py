"""Which training pairs are kept, judged by their text: blank sides, leaks, filters, repetitions.

Sentences are compared by 64-bit hashes (BLAKE2b) of their text without surrounding white space: 8 bytes of host memory
per sentence, and for a million pairs a chance of about 1 in 30 million that any is dropped by mistake.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import Any, BinaryIO

import numpy as np

from translator.data.filters import Filter, Pair, first_to_drop
from translator.data.filters.near_duplicates import repeat_nearly, signatures

REASONS = {
    "blank": "blank source or target",
    "leak": "source or target is in valid or test",
    "score": "score below data.min_score",
    "identical": "source and target are the same",
    "characters": "longer than data.max_characters",
    "mojibake": "decoded with the wrong encoding",
    "letters": "share of letters below data.min_letter_share",
    "script": "share of the expected script below data.min_script_share",
    "numbers": "different numbers",
    "addresses": "different web or e-mail addresses",
    "unbalanced": "brackets or quotation marks closed on one side only",
    "language": "in another language",
    "duplicate": "repetition of an earlier pair",
    "near_duplicate": "nearly the same as an earlier pair",
    "length": "longer than data.max_length pieces",
    "length_ratio": "ratio of lengths above data.max_length_ratio",
}
"""Why a training pair is dropped, in the order of the checks; only the first reason counts."""
ALWAYS = ("blank", "leak", "duplicate", "length", "length_ratio")
"""Reasons that are shown even if the settings choose none of the others."""
KEPT = 0
_CODES = {reason: code for code, reason in enumerate(REASONS, start=1)}


def reason_of(code: int) -> str:
    """Return the reason with a code of `select` other than `KEPT`."""
    return list(REASONS)[code - 1]


@dataclass(frozen=True)
class Sentences:
    """What is known of the N pairs of a corpus after reading it."""

    source: np.ndarray
    """Hashes, uint64 [N]."""
    target: np.ndarray
    codes: np.ndarray
    """`KEPT`, or the code of the filter that drops the pair, uint8 [N]."""
    signatures: np.ndarray
    """For finding pairs that are nearly the same, uint8 [N, 32]; [N, 0] if those are kept."""

    def __len__(self) -> int:
        return len(self.source)

    @classmethod
    def joined(cls, parts: Sequence["Sentences"]) -> "Sentences":
        """Join several corpora into one."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def save(self, file: BinaryIO) -> None:
        """Write the arrays one after another."""
        for each in fields(self):
            np.save(file, getattr(self, each.name), allow_pickle=False)

    @classmethod
    def load(cls, file: BinaryIO) -> "Sentences":
        """Read what `save` wrote."""
        return cls(*(np.load(file, allow_pickle=False) for _ in fields(cls)))

    def __getitem__(self, part: slice) -> "Sentences":
        return Sentences(*(getattr(self, field.name)[part] for field in fields(self)))


def scan(pairs: Iterable[Pair], filters: Sequence[Filter] = (), with_signatures: bool = False) -> Sentences:
    """Hash both sides of pairs, and judge them by the filters."""
    return scan_block(list(pairs), 0, filters, with_signatures)


def scan_block(block: Sequence[Pair], start: int, filters: Sequence[Filter], with_signatures: bool) -> Sentences:
    """Return what `scan` finds of consecutive pairs; the first has the index `start` in its corpus."""
    stripped = [(source.strip(), target.strip()) for source, target in block]
    source, target = (
        np.frombuffer(b"".join([_hash(pair[side]) for pair in stripped]), dtype=np.uint64) for side in (0, 1)
    )
    codes = np.array([KEPT, *(_CODES[each.reason] for each in filters)], dtype=np.uint8)
    found = signatures(stripped) if with_signatures else np.zeros((len(block), 0), dtype=np.uint8)
    return Sentences(source, target, codes[first_to_drop(stripped, start, filters)], found)


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
    codes = train.codes.copy()
    codes[are_blank(train)] = _CODES["blank"]
    if drop_leaks and held_out:
        sides = [np.concatenate([getattr(part, side) for part in held_out]) for side in ("source", "target")]
        if targets is not None:
            sides = [np.concatenate(sides)] * 2
        codes[(codes != _CODES["blank"]) & _among(train, sides)] = _CODES["leak"]
    if drop_duplicates:
        keep = codes == KEPT
        repeated = keep.copy()
        hashes = _pair_hashes(train)
        if targets is not None:
            hashes += targets.astype(np.uint64) * np.uint64(0x165667B19E3779F9)
        repeated[keep] = ~_first_occurrences(hashes[keep])
        codes[repeated] = _CODES["duplicate"]
    if train.signatures.size:
        left = np.flatnonzero(codes == KEPT)
        found = train.signatures[left]
        groups = np.zeros(len(left), dtype=np.int64) if targets is None else targets[left]
        for group in np.unique(groups):
            among = groups == group
            codes[left[among][repeat_nearly(found[among])]] = _CODES["near_duplicate"]
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
    return blake2b(text.encode(), digest_size=8).digest()


def _among(train: Sentences, sides: Sequence[Any]) -> np.ndarray:
    return np.isin(train.source, sides[0]) | np.isin(train.target, sides[1])


def _pair_hashes(sentences: Sentences) -> np.ndarray:
    # Different odd factors, so that (a, b) and (b, a) differ; both hashes are uniform already.
    return sentences.source * np.uint64(0x9E3779B97F4A7C15) + sentences.target * np.uint64(0xC2B2AE3D27D4EB4F)


def _first_occurrences(values: np.ndarray) -> np.ndarray:
    first = np.zeros(len(values), dtype=bool)
    first[np.unique(values, return_index=True)[1]] = True
    return first
