"""The SentencePiece tokenizer, whose model file is also the vocabulary: loading, encoding, decoding."""

import os
from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from translator.errors import TokenizerError
from translator.text.id_mapping import TAG, IdMapping
from translator.text.model_fields import user_defined_pieces
from translator.text.segmentation import Segmenter
from translator.text.vocabulary import Vocabulary

_SPACE = "\u2581"

# A batch goes to a thread even if that is the only one, which costs 25 us; several threads pay for many lines only.
_LINES_FOR_A_THREAD = 16
_LINES_FOR_THREADS = 256


class Tokenizer:
    """Text to piece ids and back. The ids of the special tokens are attributes; there is no padding piece.

    Ids are those of the SentencePiece model, unless a `Vocabulary` numbers its pieces in another way.
    """

    def __init__(self, model: bytes, name: str = "tokenizer", vocabulary: Vocabulary | None = None) -> None:
        """Read a serialised SentencePiece model; raise `TokenizerError` if it is none or lacks `</s>`."""
        import sentencepiece

        sentencepiece.set_min_log_level(2)
        try:
            processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError:
            processor = None
        if not model or processor is None:
            raise TokenizerError(
                f"{name} is damaged or not a SentencePiece model; expected the file that "
                "`translator tokenizer train` or `spm_train` wrote"
            )
        self._processor: Any = processor
        self.model = model
        self.vocabulary = vocabulary
        if vocabulary is None:
            self.vocab_size: int = processor.vocab_size()
            self.unk_id: int = processor.unk_id()
            self.eos_id: int = processor.eos_id()
            start: int | None = processor.bos_id() if processor.bos_id() >= 0 else None
        else:
            self.vocab_size = len(vocabulary.pieces)
            self.unk_id, self.eos_id = vocabulary.ids[vocabulary.unknown], vocabulary.ids[vocabulary.end]
            start = None if vocabulary.start is None else vocabulary.ids[vocabulary.start]
        if self.eos_id < 0:
            raise TokenizerError(f"{name} has no end of sentence (</s>); train it with --eos_id")
        self.zero_start = start is None
        """Whether the vocabulary has no start token (`<s>`), so that the decoder begins with a vector of zeros."""
        self.bos_id: int = self.eos_id if start is None else start
        """What a target begins with; with `zero_start`, an id that the decoder's embedding replaces with zeros."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that gives ids their meaning: the SentencePiece model, and the vocabulary if there is one."""
        return sha256(self.model + (b"" if self.vocabulary is None else self.vocabulary.dump())).hexdigest()

    @cached_property
    def tags(self) -> dict[str, int]:
        """Ids of the language tags (`<2de>` or `>>de<<`) by language. No text is encoded as one.

        They are control symbols of the SentencePiece model, or pieces that only the vocabulary has.
        """
        matches = ((index, TAG.fullmatch(piece)) for index, piece in enumerate(self.pieces(range(self.vocab_size))))
        return {match[1] or match[2]: index for index, match in matches if match and self._is_control(index)}

    def _is_control(self, index: int) -> bool:
        if self._mapping is None:
            return bool(self._processor.is_control(index))
        known = self._mapping.to_processor[index]
        return known < 0 or bool(self._processor.is_control(known))

    @cached_property
    def _mapping(self) -> IdMapping | None:
        if self.vocabulary is None:
            return None
        return IdMapping.of(self._processor, self.vocabulary)

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """Load a model file, and the vocabulary next to it if there is one (`Vocabulary.read_next_to`).

        Raises `TokenizerError` if the file is missing or damaged.
        """
        try:
            model = Path(path).read_bytes()
        except OSError as error:
            raise TokenizerError(f"cannot read the tokenizer {path}: {error.strerror or error}") from None
        return cls(model, str(path), Vocabulary.read_next_to(Path(path)))

    def encode(self, texts: Sequence[str], threads: int | None = None) -> list[list[int]]:
        """Return the piece ids of each text, without special tokens, with a thread for each core or so many.

        Text that looks like a control symbol (`</s>`, `<2de>`, `<0x41>`) is text. Normalisation
        collapses spaces and strips both ends, so a blank text has no pieces.
        """
        if len(texts) < _LINES_FOR_A_THREAD:
            ids = [self._processor.encode(text) for text in texts]
        else:
            ids = self._processor.encode(list(texts), num_threads=threads or _threads(len(texts)))
        return ids if self._mapping is None else self._mapped(self._mapping, ids, texts)

    def _mapped(self, mapping: IdMapping, ids: list[list[int]], texts: Sequence[str]) -> list[list[int]]:
        table, unknown = mapping.from_processor, self._processor.unk_id()
        return [
            # What this SentencePiece model does not know may be a piece that the vocabulary has from another one.
            [mapping.texts.get(piece, self.unk_id) for piece in self._processor.encode(text, out_type=str)]
            if unknown in row
            else [table[piece] for piece in row]
            for row, text in zip(ids, texts, strict=True)
        ]

    def piece_starts(self, texts: Sequence[str]) -> list[list[int]]:
        """Return where each piece of each text begins, in characters of the text as it is written.

        A piece that begins a word may begin at the white space before it. The bytes of a character all begin at it.
        """
        found = self._processor.encode(list(texts), return_type="offset_mapping", num_threads=1)
        return [[begin for begin, _ in row["offsets"]] for row in found]

    def sample(self, texts: Sequence[str], strength: float, seed: int) -> list[list[int]]:
        """Return piece ids of each text, segmented at random: a pure function of the arguments (`Segmenter.sample`)."""
        rows = self._segmenter.sample(texts, strength, seed)
        if self._mapping is None:
            return rows
        table = self._mapping.from_processor
        return [[table[piece] for piece in row] for row in rows]

    def cut(self, piece: str) -> list[int]:
        """Return the ids of the pieces into which the text of a piece (U+2581 begins a word) is cut here."""
        ids = self._segmenter.cut(piece)
        return ids if self._mapping is None else [self._mapping.from_processor[index] for index in ids]

    @cached_property
    def _segmenter(self) -> Segmenter:
        return Segmenter(self._processor, user_defined_pieces(self.model))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of piece ids, without special tokens; a line feed (spelt in bytes) becomes a space."""
        kept = [int(piece) for piece in ids]
        if wrong := [piece for piece in kept if not 0 <= piece < self.vocab_size]:
            raise TokenizerError(f"there is no piece {wrong[0]}; expected 0 to {self.vocab_size - 1}")
        if self._mapping is None:
            return self._text(kept)
        # The SentencePiece model leaves the spaces of pieces that it does not know as they are.
        text = self._text(self._mapping.names(kept))
        return text.replace(_SPACE, " ").strip() if _SPACE in text else text

    def decode_all(self, sequences: Sequence[Sequence[int]], threads: int | None = None) -> list[str]:
        """Return what `decode` returns for each sequence of piece ids, in one call; `threads` as of `encode`."""
        if len(sequences) < _LINES_FOR_A_THREAD or self._mapping is not None:
            return [self.decode(ids) for ids in sequences]
        try:
            texts: list[str] = self._processor.decode(list(sequences), num_threads=threads or _threads(len(sequences)))
        except IndexError:
            # One of them is wrong; `decode` finds it and says which.
            return [self.decode(ids) for ids in sequences]
        return [text.replace("\n", " ") for text in texts]

    def encode_pieces(self, text: str) -> list[str]:
        """Return the pieces of a text; a character without any (byte fallback off) is kept as it is."""
        pieces: list[str] = self._processor.encode(text, out_type=str)
        return pieces

    def decode_pieces(self, pieces: Sequence[str]) -> str:
        """Return the text of pieces, the inverse of `encode_pieces`; special tokens are left out."""
        return self._text(list(pieces))

    def _text(self, pieces: list[int] | list[str]) -> str:
        text: str = self._processor.decode(pieces)
        return text.replace("\n", " ")

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the pieces as written in the vocabulary (U+2581 begins a word), for people to look at."""
        if self.vocabulary is not None:
            return [self.vocabulary.pieces[int(piece)] for piece in ids]
        return [self._processor.id_to_piece(int(piece)) for piece in ids]

    def target_pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the pieces of the decoder's input for people to look at: the start token, then `ids`."""
        return ["<start>" if self.zero_start else self.pieces([self.bos_id])[0], *self.pieces(ids)]

    def is_byte(self, piece: int) -> bool:
        """Return whether a piece id is one byte of a character that has no piece of its own."""
        known = int(piece) if self._mapping is None else self._mapping.to_processor[int(piece)]
        return known >= 0 and bool(self._processor.is_byte(known))


def _threads(lines: int) -> int:
    return (os.cpu_count() or 1) if lines >= _LINES_FOR_THREADS else 1
