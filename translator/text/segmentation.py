"""Segmenting words at random: BPE-dropout, and sampling from a unigram model.

SentencePiece can sample too, but since version 0.2.2 its generator is salted in every process: no seed reproduces it,
and a resumed training would get different pieces. Here a draw depends only on the word, the model and the seed.
"""

import heapq
import math
import random
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np

# Segmentations that are drawn for each word, independently; each occurrence of the word takes one of them. They are
# cached, so that most occurrences cost no segmentation.
VARIANTS = 64
_CACHE_SIZE = 1 << 18
# A character without a piece has the log-probability of the rarest piece minus this, as in SentencePiece.
_UNKNOWN_PENALTY = 10.0
_SPACE = "\u2581"

Pieces = tuple[int, ...]


class Segmenter:
    """Draws segmentations under a SentencePiece model of type `bpe` or `unigram`."""

    def __init__(self, processor: Any, whole: Sequence[str] = ()) -> None:
        """`whole` pieces are never split, nor merged with others."""
        self._processor = processor
        longest_first = sorted(whole, key=len, reverse=True)
        self._whole = re.compile(f"({'|'.join(map(re.escape, longest_first))})") if whole else None
        pieces = range(processor.vocab_size())
        special = (processor.is_control, processor.is_unknown, processor.is_unused, processor.is_byte)
        usable = [piece for piece in pieces if not any(is_special(piece) for is_special in special)]
        self._ids = {processor.id_to_piece(piece): piece for piece in usable}
        self._scores = {processor.id_to_piece(piece): processor.get_score(piece) for piece in usable}
        self._longest = max(map(len, self._scores), default=1)
        self._unknown_score = min(self._scores.values(), default=0.0) - _UNKNOWN_PENALTY
        self._is_unigram = _has_candidates(processor)
        self._segment = lru_cache(_CACHE_SIZE)(self._segment_uncached)

    def sample(self, texts: Sequence[str], strength: float, seed: int) -> list[list[int]]:
        """Return piece ids of each text, segmented at random: a pure function of model and arguments.

        `strength` is the probability with which a merge of `bpe` is dropped (Provilkov et al. 2020), or the exponent
        of the probability of a unigram segmentation (Kudo 2018).
        """
        rows = [_words(text) for text in self._processor.normalize(list(texts))]
        variants = iter(np.random.default_rng(seed).integers(VARIANTS, size=sum(map(len, rows))).tolist())
        drawn = []
        for words, usual in zip(rows, self._processor.encode(list(texts), num_threads=1), strict=True):
            chosen = [self._segment(word, strength, next(variants)) for word in words]
            # A model may do what this class does not, such as pieces across words; such a text keeps its usual pieces.
            same = usual == [piece for word in words for piece in self._segment(word, None, 0)]
            drawn.append([piece for word in chosen for piece in word] if same else usual)
        return drawn

    def cut(self, word: str) -> list[int]:
        """Return the ids of the most probable pieces of a normalised text without further words, such as a piece."""
        return list(self._segment_uncached(word, None, 0))

    def _segment_uncached(self, word: str, strength: float | None, variant: int) -> Pieces:
        """Draw the pieces of a word; the most probable ones if `strength` is None."""
        return tuple(piece for part in self._parts(word, strength, variant) for piece in self._pieces(part))

    def cut_text(self, word: str) -> list[str]:
        """Return what `cut` does as text: characters without a piece are parts of their own."""
        return self._parts(word, None, 0)

    def _parts(self, word: str, strength: float | None, variant: int) -> list[str]:
        draw = random.Random(f"{word} {variant}")
        # With a group, `split` returns the whole pieces at odd indices.
        texts = [word] if self._whole is None else self._whole.split(word)
        parts: list[str] = []
        for index, text in enumerate(texts):
            if index % 2:
                parts.append(text)
            elif self._is_unigram:
                parts += self._sample(text, strength, draw)
            else:
                parts += self._merge(text, lambda: strength is not None and draw.random() < strength)
        return parts

    def _pieces(self, part: str) -> list[int]:
        """Return the id of a part if it is a piece, else the ids of its bytes, or of the unknown piece."""
        if part in self._ids:
            return [self._ids[part]]
        spelt = [self._processor.piece_to_id(f"<0x{byte:02X}>") for byte in part.encode()]
        return spelt if all(map(self._processor.is_byte, spelt)) else [self._processor.unk_id()]

    def _merge(self, word: str, is_dropped: Callable[[], bool]) -> list[str]:
        """Merge neighbours, best score first, then leftmost, except merges that `is_dropped` rejects."""
        parts = list(word)
        before, after = list(range(-1, len(word) - 1)), list(range(1, len(word) + 1))
        agenda: list[tuple[float, int, int, str]] = []

        def propose(left: int, right: int) -> None:
            if left >= 0 and right < len(parts):
                merged = parts[left] + parts[right]
                if merged in self._scores:
                    heapq.heappush(agenda, (-self._scores[merged], left, right, merged))

        for left in range(len(word) - 1):
            propose(left, left + 1)
        while agenda:
            _, left, right, merged = heapq.heappop(agenda)
            # Either part may have been merged with another one meanwhile.
            is_stale = not parts[left] or not parts[right] or parts[left] + parts[right] != merged
            if is_stale or is_dropped():
                continue
            parts[left], parts[right] = merged, ""
            after[left] = after[right]
            if after[left] < len(parts):
                before[after[left]] = left
            propose(before[left], left)
            propose(left, after[left])
        return [part for part in parts if part]

    def _sample(self, word: str, strength: float | None, draw: random.Random) -> list[str]:
        """Draw a segmentation with a probability proportional to its own to the power of `strength`.

        Sums run forward over the word, choices backward. The most probable segmentation if `strength` is None.
        """
        reach = [0.0]
        choices: list[tuple[list[int], list[float]]] = [([], [])]
        for end in range(1, len(word) + 1):
            starts, scores = [], []
            for start in range(max(0, end - self._longest), end):
                score = self._scores.get(word[start:end], self._unknown_score if start == end - 1 else None)
                if score is not None:
                    starts.append(start)
                    scores.append(reach[start] + score * (1.0 if strength is None else strength))
            best = max(scores)
            weights = [math.exp(score - best) for score in scores]
            reach.append(best if strength is None else best + math.log(sum(weights)))
            choices.append((starts, weights))
        parts, end = [], len(word)
        while end:
            starts, weights = choices[end]
            if strength is None:
                start = starts[weights.index(max(weights))]
            else:
                start = draw.choices(starts, cum_weights=list(accumulate(weights)))[0]
            parts.append(word[start:end])
            end = start
        return parts[::-1]


def _words(text: str) -> list[str]:
    """Split normalised text before every U+2581; concatenated, the words are the text."""
    first, *others = text.split(_SPACE)
    return [*([first] if first else []), *(_SPACE + word for word in others)]


def _has_candidates(processor: Any) -> bool:
    """Return whether the model ranks whole segmentations, as a unigram model does."""
    try:
        return bool(processor.nbest_encode("a", nbest_size=2))
    except RuntimeError:
        return False
