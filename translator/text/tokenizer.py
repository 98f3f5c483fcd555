"""The SentencePiece tokenizer, whose model file is also the vocabulary: loading, encoding, decoding."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from translator.errors import TokenizerError
from translator.runtime.files import write_bytes
from translator.text.segmentation import Segmenter

JOINT_MODEL = "tokenizer.model"
SOURCE_MODEL = "tokenizer.source.model"
TARGET_MODEL = "tokenizer.target.model"

_TAG = re.compile(r"<2([^<>]+)>")

# A batch goes to a thread even if that is the only one, which costs 25 us; several threads pay for many lines only.
_LINES_FOR_A_THREAD = 16
_LINES_FOR_THREADS = 256


class Tokenizer:
    """Text to piece ids and back. The ids of the special tokens are attributes; there is no padding piece."""

    def __init__(self, model: bytes, name: str = "tokenizer") -> None:
        """Read a serialised SentencePiece model; raise `TokenizerError` if it is none or lacks `<s>` or `</s>`."""
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
        self.vocab_size: int = processor.vocab_size()
        self.unk_id: int = processor.unk_id()
        self.bos_id: int = processor.bos_id()
        self.eos_id: int = processor.eos_id()
        if min(self.bos_id, self.eos_id) < 0:
            raise TokenizerError(
                f"{name} has no start or end of sentence (<s>, </s>); train it with --bos_id and --eos_id"
            )

    @cached_property
    def tags(self) -> dict[str, int]:
        """Ids of the language tags (`<2de>`) by language. They are control symbols: no text is encoded as one."""
        matches = ((piece, _TAG.fullmatch(self._processor.id_to_piece(piece))) for piece in range(self.vocab_size))
        return {match[1]: piece for piece, match in matches if match and self._processor.is_control(piece)}

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """Load a model file; raise `TokenizerError` if it is missing or damaged."""
        try:
            model = Path(path).read_bytes()
        except OSError as error:
            raise TokenizerError(f"cannot read the tokenizer {path}: {error.strerror or error}") from None
        return cls(model, str(path))

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the piece ids of each text, without special tokens.

        Text that looks like a control symbol (`</s>`, `<2de>`, `<0x41>`) is text. Normalisation
        collapses spaces and strips both ends, so a blank text has no pieces.
        """
        if len(texts) < _LINES_FOR_A_THREAD:
            return [self._processor.encode(text) for text in texts]
        ids: list[list[int]] = self._processor.encode(list(texts), num_threads=_threads(len(texts)))
        return ids

    def sample(self, texts: Sequence[str], strength: float, seed: int) -> list[list[int]]:
        """Return piece ids of each text, segmented at random: a pure function of the arguments (`Segmenter.sample`)."""
        return self._segmenter.sample(texts, strength, seed)

    @cached_property
    def _segmenter(self) -> Segmenter:
        return Segmenter(self._processor)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of piece ids, without special tokens; a line feed (spelt in bytes) becomes a space."""
        kept = [int(piece) for piece in ids]
        if wrong := [piece for piece in kept if not 0 <= piece < self.vocab_size]:
            raise TokenizerError(f"there is no piece {wrong[0]}; expected 0 to {self.vocab_size - 1}")
        return self._text(kept)

    def decode_all(self, sequences: Sequence[Sequence[int]]) -> list[str]:
        """Return what `decode` returns for each sequence of piece ids, in one call and with several threads."""
        if len(sequences) < _LINES_FOR_A_THREAD:
            return [self.decode(ids) for ids in sequences]
        try:
            texts: list[str] = self._processor.decode(list(sequences), num_threads=_threads(len(sequences)))
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
        return [self._processor.id_to_piece(int(piece)) for piece in ids]

    def is_byte(self, piece: int) -> bool:
        """Return whether a piece id is one byte of a character that has no piece of its own."""
        return bool(self._processor.is_byte(int(piece)))


def _threads(lines: int) -> int:
    return (os.cpu_count() or 1) if lines >= _LINES_FOR_THREADS else 1


@dataclass(frozen=True)
class TokenizerPair:
    """The tokenizers of both sides; the same object if they share a vocabulary."""

    source: Tokenizer
    target: Tokenizer
    joint: bool


def tokenizer_files(joint: bool) -> list[str]:
    """Name the model files of a directory."""
    return [JOINT_MODEL] if joint else [SOURCE_MODEL, TARGET_MODEL]


def load_tokenizers(directory: str | Path) -> TokenizerPair:
    """Load the tokenizer or the two tokenizers of a directory; raise `TokenizerError` if there is none."""
    path = Path(directory)
    if (path / JOINT_MODEL).exists():
        joint = Tokenizer.load(path / JOINT_MODEL)
        return TokenizerPair(joint, joint, True)
    if not (path / SOURCE_MODEL).exists() and not (path / TARGET_MODEL).exists():
        raise TokenizerError(f"{path} has no tokenizer; expected {JOINT_MODEL}, or {SOURCE_MODEL} and {TARGET_MODEL}")
    return TokenizerPair(Tokenizer.load(path / SOURCE_MODEL), Tokenizer.load(path / TARGET_MODEL), False)


def save_tokenizers(tokenizers: TokenizerPair, directory: Path) -> None:
    """Write the model files into a directory that exists."""
    for name, tokenizer in zip(tokenizer_files(tokenizers.joint), (tokenizers.source, tokenizers.target), strict=False):
        (directory / name).write_bytes(tokenizer.model)


def copy_tokenizers(from_directory: str | Path, to_directory: str | Path) -> None:
    """Copy the model files of a directory into another, byte for byte; each appears complete or not at all.

    Those of the other kind, joint or one for each side, are removed there: they would be another vocabulary.
    """
    joint = load_tokenizers(from_directory).joint
    for name in tokenizer_files(joint):
        write_bytes(Path(to_directory) / name, (Path(from_directory) / name).read_bytes())
    for name in tokenizer_files(not joint):
        (Path(to_directory) / name).unlink(missing_ok=True)
