"""The text of hypotheses with their links to the source: alignments of words, and unknown pieces replaced."""

import threading
from collections.abc import Sequence
from typing import NamedTuple

from translator.checkpoints import Bundle
from translator.translation.alignment_head import alignment_head
from translator.translation.word_alignment import Aligner, attention_aligner, word_links, word_numbers

# A character that no text holds, to find the unknown pieces again in a decoded text.
_UNKNOWN = "\U0010fffe"

Found = tuple[str, Sequence[int], Sequence[int]]
"""The text of a source, its pieces with their tag, and the pieces of a translation."""


class LinkedText(NamedTuple):
    """A translation in text; its links and the numbers of words only where they were asked for."""

    text: str
    links: tuple[tuple[int, int], ...] = ()
    """Words (source, target), counted from 0."""
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
        """Return the text of every translation, with its links."""
        pairs = [(source, target) for _, source, target in found]
        with self._lock:
            if self._aligner is None and pairs:
                self._aligner = attention_aligner(self.bundle, alignment_head(self.bundle, self.head, pairs))
        links = self._aligner(pairs) if self._aligner is not None else []
        return [self._linked(*own, places) for own, places in zip(found, links, strict=True)]

    def _linked(self, text: str, source: Sequence[int], target: Sequence[int], places: Sequence[int]) -> LinkedText:
        tokenizers = self.bundle.tokenizers
        # Of a cut source, the pieces of the text go on behind its end.
        source_pieces = tokenizers.source.encode_pieces(text)
        if self.tag is not None:
            places = [place - 1 for place in places]
        target_pieces = tokenizers.target.pieces(target)
        words = word_numbers(source_pieces)
        written = tokenizers.target.decode(target)
        if self.replace_unknown and tokenizers.target.unk_id in target and places:
            written = self._with_known(source_pieces, words, target, places)
        links = word_links(source_pieces, target_pieces, places)
        target_words = word_numbers(target_pieces)
        return LinkedText(written, tuple(links), _count(words), _count(target_words))

    def _with_known(
        self, source_pieces: Sequence[str], words: Sequence[int], target: Sequence[int], places: Sequence[int]
    ) -> str:
        """Write the linked source word in the place of every unknown piece."""
        tokenizer = self.bundle.tokenizers.target
        pieces = tokenizer.pieces(target)
        known = []
        for position, piece in enumerate(target):
            if piece == tokenizer.unk_id:
                pieces[position] = _UNKNOWN
                number = words[places[position]]
                own = [text for text, word in zip(source_pieces, words, strict=True) if word == number]
                known.append(self.bundle.tokenizers.source.decode_pieces(own))
        first, *others = tokenizer.decode_pieces(pieces).split(_UNKNOWN)
        return first + "".join(word + rest for word, rest in zip(known, others, strict=True))


def join_links(parts: Sequence[LinkedText]) -> list[tuple[int, int]]:
    """Return the links of the parts of a line, counted through from its beginning."""
    joined: list[tuple[int, int]] = []
    source, target = 0, 0
    for part in parts:
        joined += [(source + left, target + right) for left, right in part.links]
        source, target = source + part.source_words, target + part.target_words
    return joined


def _count(words: Sequence[int]) -> int:
    return words[-1] + 1 if words else 0
