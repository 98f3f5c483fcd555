"""Between the ids of a SentencePiece model and those of a vocabulary that numbers its pieces in another way."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from translator.text.vocabulary import Vocabulary

TAG = re.compile(r"<2([^<>]+)>|>>([^<>]+)<<")
"""How language tags are written: ours, and those of OPUS-MT."""


@dataclass(frozen=True)
class IdMapping:
    """The ids of both, in each other's order."""

    from_processor: list[int]
    """By id of the SentencePiece model; pieces that the vocabulary lacks are its unknown piece."""
    to_processor: list[int]
    """By id of the vocabulary; -1 for pieces that the SentencePiece model lacks."""
    texts: dict[str, int]
    """Ids of the vocabulary, without special tokens and language tags, by piece."""
    written: list[str | None]
    """By id of the vocabulary: the piece as the SentencePiece model decodes it; None writes nothing."""

    @classmethod
    def of(cls, processor: Any, vocabulary: Vocabulary) -> "IdMapping":
        ids, unknown = vocabulary.ids, vocabulary.ids[vocabulary.unknown]
        special = {vocabulary.start, vocabulary.end, vocabulary.unknown}
        from_processor, to_processor = [unknown] * processor.vocab_size(), [-1] * len(vocabulary.pieces)
        for index in range(processor.vocab_size()):
            found = unknown if processor.is_unknown(index) else ids.get(processor.id_to_piece(index))
            if found is not None:
                from_processor[index], to_processor[found] = found, index
        silent = {
            piece
            for piece, known in zip(vocabulary.pieces, to_processor, strict=True)
            if (processor.is_control(known) if known >= 0 else piece in special or TAG.fullmatch(piece))
        }
        return cls(
            from_processor,
            to_processor,
            {piece: index for piece, index in ids.items() if piece not in silent | special},
            [
                None if piece in silent else processor.id_to_piece(known) if known >= 0 else piece
                for piece, known in zip(vocabulary.pieces, to_processor, strict=True)
            ],
        )

    def names(self, ids: Sequence[int]) -> list[str]:
        """Return the pieces to decode."""
        return [piece for index in ids if (piece := self.written[index]) is not None]
