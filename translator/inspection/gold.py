"""How often a cross-attention head looks at the right word, given a gold word alignment.

Shapes: H heads, Lt and Ls target and source pieces of a sentence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from translator.checkpoints import Bundle
from translator.config import Head
from translator.errors import DataError
from translator.inspection.pairs import Pairs
from translator.inspection.statistics import Look
from translator.runtime.console import warn
from translator.runtime.counted import counted
from translator.text import WordLinks, describe_lines, parse_links, read_lines
from translator.translation.word_alignment import word_numbers


def read_links(path: Path, pairs: Pairs) -> list[WordLinks]:
    """Read a word alignment in Pharaoh format, `0-0 1-2`, with one line for each line of the test set of `pairs`.

    Words are separated by white space. Possible links, `0?0`, count too. Raises `DataError` with file and line if
    anything else is found.
    """
    lines = list(read_lines(path))
    texts = list(zip(pairs.test_set.sources, pairs.test_set.references[0], strict=True))
    if len(lines) != len(texts):
        raise DataError(
            f"{path} has {counted(len(lines), 'line')}, expected {len(texts):,}, one for each sentence pair"
        )
    return [parse_links(lines[line], *texts[line], f"{path}, line {line + 1:,}") for line in pairs.lines]


@dataclass
class GoldCounter:
    """Counts, for every cross-attention head, the target words whose largest weight is on a word aligned to them.

    Weights are added over the source pieces of a word and averaged over its target pieces; the language tag and the end
    token are left out. Target words without a link are not counted.
    """

    bundle: Bundle
    pairs: Pairs
    links: Sequence[WordLinks]
    words: int = 0
    """Target words with a link."""
    _right: list[NDArray[np.int64]] = field(default_factory=list)
    _different: list[int] = field(default_factory=list)

    def __call__(self, look: Look) -> None:
        """Count a batch of `pairs.ids`."""
        layers = [weights.cpu().numpy() for weights in look.weights["cross"]]  # [N, H, Lt, Ls]
        texts = self.pairs.texts()
        for row, index in enumerate(look.indices):
            self._count(index, *texts[index], [weights[row] for weights in layers])

    def _count(self, index: int, source: str, target: str, layers: Sequence[NDArray[np.float32]]) -> None:
        tokenizers = self.bundle.tokenizers
        source_ids, target_ids = self.pairs.ids[index]
        first = int(source_ids[0] in tokenizers.source.tags.values())
        source_words = word_numbers(tokenizers.source.pieces(source_ids[first:]))
        target_words = word_numbers(tokenizers.target.pieces(target_ids))
        if source_words[-1:] != [len(source.split()) - 1] or target_words[-1] != len(target.split()) - 1:
            self._different.append(self.pairs.lines[index] + 1)
            return
        right = np.zeros((target_words[-1] + 1, source_words[-1] + 1), dtype=bool)
        for left, word in self.links[index]:
            right[word, left] = True
        linked = np.flatnonzero(right.any(axis=1))
        self.words += len(linked)
        for layer, weights in enumerate(layers):
            pieces = weights[:, : len(target_words), first : first + len(source_words)]  # [H, Lt, Ls]
            by_source = np.add.reduceat(pieces, _starts(source_words), axis=2)
            most = np.add.reduceat(by_source, _starts(target_words), axis=1)[:, linked].argmax(-1)  # [H, linked]
            if layer == len(self._right):
                self._right.append(np.zeros(len(weights), dtype=np.int64))
            self._right[layer] += right[linked, most].sum(-1)

    def shares(self) -> dict[Head, float]:
        """Return the share of counted words that each head gets right; raises `DataError` if no word was counted."""
        if self._different:
            warn(
                f"{describe_lines(self._different)} split into words differently by the tokenizer than by white space; "
                "left out of the comparison with the alignment"
            )
        if not self.words:
            raise DataError("the alignment has no link in the sentence pairs, expected at least one")
        return {
            Head("cross", layer, head): int(right) / self.words
            for layer, counts in enumerate(self._right, start=1)
            for head, right in enumerate(counts, start=1)
        }


def _starts(words: Sequence[int]) -> list[int]:
    """Return the indices at which a word begins."""
    return [index for index, word in enumerate(words) if index == 0 or word != words[index - 1]]
