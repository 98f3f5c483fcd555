"""Links between the pieces of sentence pairs, made from links between words, and carried over to other pieces."""

import re
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from translator.text import Tokenizer, WordLinks

_WORD = re.compile(r"\S+")


def piece_words(text: str, starts: Sequence[int]) -> list[int]:
    """Return the index of the word (by white space) that each piece of a text belongs to.

    `starts` are those of `Tokenizer.piece_starts`, and rise. A piece that begins at white space belongs to the next
    word.
    """
    ends = [match.end() for match in _WORD.finditer(text)]
    return [min(bisect_right(ends, start), len(ends) - 1) for start in starts]


def link_pieces(
    links: WordLinks, source_words: Sequence[int], target_words: Sequence[int], first: int = 0
) -> list[int]:
    """Return the links between the pieces of linked words: source and target piece by turns, in order of the target.

    The words are those that `piece_words` found for the pieces of both sides; source pieces are counted from `first`.
    """
    linked = []
    for source, target in links:
        left = range(*_span(source_words, source))
        linked += [(row, column) for row in range(*_span(target_words, target)) for column in left]
    return [index for row, column in sorted(linked) for index in (column + first, row)]


def _span(words: Sequence[int], word: int) -> tuple[int, int]:
    begin = bisect_right(words, word - 1)
    return begin, bisect_right(words, word, lo=begin)


class PieceSizes:
    """The size of every piece of a vocabulary, by which two ways to cut the same text are compared."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        pieces = tokenizer.pieces(range(tokenizer.vocab_size))
        self._bytes = np.array(
            [1 if tokenizer.is_byte(index) else len(piece.encode()) for index, piece in enumerate(pieces)], np.int64
        )
        self._unknown = tokenizer.unk_id

    def overlaps(self, old: np.ndarray, new: np.ndarray) -> np.ndarray | None:
        """Return for each `old` piece of a text which `new` ones overlap it: the first and the end, int64 [R, 2].

        None if that cannot be told: an unknown piece says nothing about the text that it stands for.
        """
        if self._unknown in old or self._unknown in new:
            return None
        old_ends, new_ends = (np.cumsum(self._bytes[ids]) for ids in (old, new))
        if old_ends[-1:].tolist() != new_ends[-1:].tolist():
            return None
        old_begins, new_begins = old_ends - self._bytes[old], new_ends - self._bytes[new]
        first = np.searchsorted(new_ends, old_begins, side="right")
        return np.stack([first, np.searchsorted(new_begins, old_ends, side="left")], axis=1)


def carry_over(links: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the links (source, target), int64 [R, 2], between other pieces of the same texts.

    `source` and `target` say which new pieces overlap each of the old ones, as `PieceSizes.overlaps`.
    """
    found = {
        (column, row)
        for (first_column, end_column), (first_row, end_row) in zip(
            source[links[:, 0]].tolist(), target[links[:, 1]].tolist(), strict=True
        )
        for row in range(first_row, end_row)
        for column in range(first_column, end_column)
    }
    return np.array(sorted(found), dtype=np.int64).reshape(-1, 2)
