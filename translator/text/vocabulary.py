"""The vocabulary of a model whose ids are not those of its SentencePiece model: a list of pieces, kept next to it.

Models from elsewhere often number their pieces in a file of their own (`vocab.json` of OPUS-MT), in another order, for
two SentencePiece models at once, or with pieces that none of the two has.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from translator.errors import TokenizerError
from translator.runtime.json_files import read_json

SUFFIX = ".vocabulary.json"
"""What takes the place of the last suffix of a SentencePiece model's file name: `tokenizer.vocabulary.json`."""
_SHAPE = {"pieces": [str], "start": (str, None), "end": str, "unknown": str}


@dataclass(frozen=True)
class Vocabulary:
    """The pieces of a model by id, and which of them are special tokens."""

    pieces: tuple[str, ...]
    start: str | None = None
    """The piece that every target begins with; None if the decoder begins with a vector of zeros instead."""
    end: str = "</s>"
    unknown: str = "<unk>"

    @cached_property
    def ids(self) -> dict[str, int]:
        """The ids by piece."""
        return {piece: index for index, piece in enumerate(self.pieces)}

    def check(self, name: str) -> None:
        """Raise `TokenizerError`, which begins with `name`, if pieces repeat or special tokens are missing."""
        if len(self.ids) < len(self.pieces):
            repeated = next(piece for index, piece in enumerate(self.pieces) if self.ids[piece] != index)
            raise TokenizerError(f"{name} has the piece {repeated!r} twice; expected every piece once")
        named = (self.end, self.unknown, *([] if self.start is None else [self.start]))
        if missing := [piece for piece in named if piece not in self.ids]:
            raise TokenizerError(f"{name} has no piece {missing[0]!r}, which it names as a special token; add it")

    @classmethod
    def read_next_to(cls, model: Path) -> "Vocabulary | None":
        """Read the vocabulary of the SentencePiece model in the file `model`; None if there is none."""
        file = model.with_suffix(SUFFIX)
        try:
            read = read_json(file, _SHAPE, TokenizerError, "put it back as it was")
        except FileNotFoundError:
            return None
        vocabulary = cls(tuple(read["pieces"]), read["start"], read["end"], read["unknown"])
        vocabulary.check(str(file))
        return vocabulary

    def dump(self) -> bytes:
        """Return the content of its file."""
        values = {"start": self.start, "end": self.end, "unknown": self.unknown, "pieces": self.pieces}
        return (json.dumps(values, ensure_ascii=False, indent=0) + "\n").encode()
