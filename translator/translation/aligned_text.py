"""Hypotheses as text, linked to their sources: word alignments, and unknown pieces replaced by source words."""

import re
import threading
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from translator.checkpoints import Bundle
from translator.translation.alignment_head import alignment_head
from translator.translation.word_alignment import Aligner, attention_aligner, word_links, word_numbers

# A character that no text contains, to find the unknown pieces again in a decoded text.
_UNKNOWN = "\U0010fffe"
_SPACE = "\u2581"
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")

Found = tuple[str, Sequence[int], Sequence[int]]
"""The text of a source, its pieces (language tag included), and the pieces of a translation."""


class LinkedText(NamedTuple):
    """The text of a translation, with its word alignment if that was asked for."""

    text: str
    links: tuple[tuple[int, int], ...] = ()
    """Aligned words (source, target), counted from 0."""
    source_words: int = 0
    target_words: int = 0
    characters: tuple[tuple[int, int, int, int], ...] = ()
    """Aligned characters: begin and end in the source, begin and end in the text, a link for every target piece."""


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
        source_spans, target_spans = piece_spans(source_pieces, text), piece_spans(target_pieces, written)
        characters = [
            (*source_spans[index], *span)
            for index, span in zip(indices, target_spans, strict=False)
            if span[1] > span[0]
        ]
        return LinkedText(written, tuple(links), _count(words), _count(target_words), tuple(characters))

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


def piece_spans(pieces: Sequence[str], text: str) -> list[tuple[int, int]]:
    """Return where each piece is in the text, in characters; nearly, if normalisation changed the text."""
    found = _found_spans(pieces, text)
    if found is not None:
        return found
    lengths = [_length(piece) for piece in pieces]
    if pieces and pieces[0].startswith(_SPACE) and not text.startswith(" "):
        # A tokenizer puts a space before every text.
        lengths[0] -= 1
    total = sum(lengths)
    scale = len(text) / total if total else 0.0
    ends = [round(end * scale) for end in accumulate(lengths)]
    begins = [0, *ends[:-1]]
    return [
        (min(begin + (index > 0 and piece.startswith(_SPACE)), end), end)
        for index, (piece, begin, end) in enumerate(zip(pieces, begins, ends, strict=True))
    ]


def _found_spans(pieces: Sequence[str], text: str) -> list[tuple[int, int]] | None:
    """Return where each piece is in the text, without the white space before it; None if the text reads differently."""
    spans: list[tuple[int, int]] = []
    end = 0
    for piece in pieces:
        written = piece.removeprefix(_SPACE)
        begin = end
        while piece.startswith(_SPACE) and begin < len(text) and text[begin].isspace():
            begin += 1
        end = begin + len(written)
        if text[begin:end] != written:
            return None
        spans.append((begin, end))
    return spans


def _length(piece: str) -> int:
    """Return the number of characters of a piece; of those spelt in bytes, the first byte counts as one."""
    if (match := _BYTE.fullmatch(piece)) is not None:
        return int(int(match[1], 16) & 0xC0 != 0x80)
    return len(piece)


def join_characters(
    parts: Sequence[LinkedText],
    texts: Sequence[str],
    source_gaps: Sequence[str],
    target_gaps: Sequence[str],
    start: int = 0,
) -> list[tuple[int, int, int, int]]:
    """Return the aligned characters of all parts of a line, counted from the start of the line.

    The sources of the parts are `texts`, the first of which begins at `start`.
    """
    joined: list[tuple[int, int, int, int]] = []
    source, target = start, 0
    for part, text, source_gap, target_gap in zip(parts, texts, source_gaps, target_gaps, strict=True):
        joined += [
            (source + begin, source + end, target + first, target + last) for begin, end, first, last in part.characters
        ]
        source += len(text) + len(source_gap)
        target += len(part.text) + len(target_gap) if part.text else 0
    return joined


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
