"""Hypotheses as text, linked to their sources: word alignments, and unknown pieces replaced by source words."""

import threading
from collections.abc import Sequence
from typing import NamedTuple

from translator.checkpoints import Bundle
from translator.translation.alignment_head import alignment_head
from translator.translation.word_alignment import Aligner, attention_aligner, word_links, word_numbers

# A character that no text contains, to find the unknown pieces again in a decoded text.
_UNKNOWN = "\U0010fffe"

Found = tuple[str, Sequence[int], Sequence[int]]
"""The text of a source, its pieces (language tag included), and the pieces of a translation."""


class LinkedText(NamedTuple):
    """The text of a translation, with its word alignment if that was asked for."""

    text: str
    links: tuple[tuple[int, int], ...] = ()
    """Aligned words (source, target), counted from 0."""
    source_words: int = 0
    target_words: int = 0


class Linker:
    """Links translations to their sources by one head of the cross-attention; several threads may call it."""

    def __init__(self, bundle: Bundle, head: str, tag: int | None, replace_unknown: bool) -> None:
        """`head` is `decoding.alignment`; `auto` may wait for the first translations to learn from."""
        self.bundle, self.head, self.tag, self.replace_unknown = bundle, head, tag, replace_unknown
        self._aligner: Aligner | None = None
        self._lock = threading.Lock()

    def __call__(self, found: Sequence[Found]) -> list[LinkedText]:
        """Return the text of each translation with its word alignment."""
        pairs = [(source, target) for _, source, target in found]
        with self._lock:
            if self._aligner is None and pairs:
                self._aligner = attention_aligner(self.bundle, alignment_head(self.bundle, self.head, pairs))
        links = self._aligner(pairs) if self._aligner is not None else []
        return [self._linked(*own, indices) for own, indices in zip(found, links, strict=True)]

    def _linked(self, text: str, source: Sequence[int], target: Sequence[int], indices: Sequence[int]) -> LinkedText:
        tokenizers = self.bundle.tokenizers
        # If the source was cut, the text has more pieces than it.
        source_pieces = tokenizers.source.encode_pieces(text)
        if self.tag is not None:
            indices = [index - 1 for index in indices]
        target_pieces = tokenizers.target.pieces(target)
        words = word_numbers(source_pieces)
        written = tokenizers.target.decode(target)
        if self.replace_unknown and tokenizers.target.unk_id in target and indices:
            written = self._with_known(source_pieces, words, target, indices)
        links = word_links(source_pieces, target_pieces, indices)
        target_words = word_numbers(target_pieces)
        return LinkedText(written, tuple(links), _count(words), _count(target_words))

    def _with_known(
        self, source_pieces: Sequence[str], words: Sequence[int], target: Sequence[int], indices: Sequence[int]
    ) -> str:
        """Return the text with the aligned source word instead of each unknown piece."""
        tokenizer = self.bundle.tokenizers.target
        pieces = tokenizer.pieces(target)
        known = []
        for position, piece in enumerate(target):
            if piece == tokenizer.unk_id:
                pieces[position] = _UNKNOWN
                number = words[indices[position]]
                own = [text for text, word in zip(source_pieces, words, strict=True) if word == number]
                known.append(self.bundle.tokenizers.source.decode_pieces(own))
        first, *others = tokenizer.decode_pieces(pieces).split(_UNKNOWN)
        return first + "".join(word + rest for word, rest in zip(known, others, strict=True))


def join_texts(texts: Sequence[str], gaps: Sequence[str]) -> str:
    """Join the texts of parts, each followed by its gap; an empty text is left out, with its gap."""
    kept = [(text, gap) for text, gap in zip(texts, gaps, strict=True) if text]
    return "".join(text + (gap if index < len(kept) - 1 else "") for index, (text, gap) in enumerate(kept))


def join_links(
    parts: Sequence[LinkedText], source_gaps: Sequence[str], target_gaps: Sequence[str]
) -> list[tuple[int, int]]:
    """Return the links of all parts of a line, with words counted from the start of the line.

    Without a gap between them, the last word of a part and the first of the next are one.
    """
    joined: list[tuple[int, int]] = []
    source, target = 0, 0
    for part, source_gap, target_gap in zip(parts, source_gaps, target_gaps, strict=True):
        joined += [(source + left, target + right) for left, right in part.links]
        source += part.source_words - (not source_gap and part.source_words > 0)
        target += part.target_words - (not target_gap and part.target_words > 0)
    return sorted(set(joined))


def _count(words: Sequence[int]) -> int:
    return words[-1] + 1 if words else 0
