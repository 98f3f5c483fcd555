"""Fields of a SentencePiece model file that the library does not give away: it is a protocol buffer.

The numbers of the fields are those of `sentencepiece_model.proto`.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

PIECES, TRAINER, NORMALIZER = 1, 2, 3
_NAME, _SCORE, _TYPE = 1, 2, 3
_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4
_MODEL_TYPE, _VOCAB_SIZE = 3, 4
_MODEL_TYPES = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}
_ADD_DUMMY_PREFIX = 3
_FLAGS = {
    21: "split_by_unicode_script", 22: "split_by_whitespace", 23: "split_by_number", 24: "treat_whitespace_as_suffix",
    25: "split_digits",
}  # fmt: skip
_LONGEST_PIECE = 20


class NewPiece(NamedTuple):
    """A piece to be added to a model."""

    name: str
    score: float
    """What the piece is chosen by: a log-probability, or for `bpe` the order of merges, the largest first."""
    is_control: bool = False
    """Whether no text is encoded as this piece, such as a language tag."""


def fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Yield number and value of every field: bytes, or a whole number; others are skipped."""
    offset = 0
    while offset < len(data):
        key, offset = _varint(data, offset)
        number, kind = key >> 3, key & 7
        if kind == 2:
            size, offset = _varint(data, offset)
            yield number, data[offset : offset + size]
            offset += size
        elif kind == 0:
            value, offset = _varint(data, offset)
            yield number, value
        else:
            offset += 4 if kind == 5 else 8


def field(number: int, content: bytes) -> bytes:
    """Encode a field that holds bytes."""
    return bytes([number << 3 | 2]) + _encoded(len(content)) + content


def _encoded(value: int) -> bytes:
    """Encode a whole number."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def user_defined_pieces(model: bytes) -> list[str]:
    """Return the pieces of a model that are always kept whole (`tokenizer.user_defined_symbols`)."""
    found = []
    for number, value in fields(model):
        if number == PIECES and isinstance(value, bytes):
            piece = dict(fields(value))
            name = piece.get(_NAME)
            if piece.get(_TYPE) == _USER_DEFINED and isinstance(name, bytes):
                found.append(name.decode())
    return found


def with_pieces(model: bytes, pieces: Sequence[NewPiece]) -> bytes:
    """Return a model with more pieces, whose ids come after those that it has."""
    import sentencepiece

    added = b"".join(
        field(
            PIECES,
            field(_NAME, piece.name.encode())
            + bytes([_SCORE << 3 | 5])
            + struct.pack("<f", piece.score)
            + bytes([_TYPE << 3, _CONTROL if piece.is_control else _NORMAL]),
        )
        for piece in pieces
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model + added)
    # Concatenated protocol buffers are merged: of a field that is no list, the later value counts.
    size = field(TRAINER, bytes([_VOCAB_SIZE << 3]) + _encoded(processor.vocab_size()))
    merged = processor.serialized_model_proto() + size
    changed: bytes = sentencepiece.SentencePieceProcessor(model_proto=merged).serialized_model_proto()
    return changed


def model_type(model: bytes) -> str:
    """Return how the pieces of a model were found: `unigram`, `bpe`, `word` or `char`."""
    return _MODEL_TYPES[int(_numbers(model, TRAINER).get(_MODEL_TYPE, 1))]


def splitting_options(model: bytes) -> dict[str, Any]:
    """Return the options of SentencePiece's trainer that say where the pieces of a model may begin and end."""
    trainer = _numbers(model, TRAINER)
    options: dict[str, Any] = {name: bool(trainer[number]) for number, name in _FLAGS.items() if number in trainer}
    if _LONGEST_PIECE in trainer:
        options["max_sentencepiece_length"] = trainer[_LONGEST_PIECE]
    prefix = _numbers(model, NORMALIZER).get(_ADD_DUMMY_PREFIX, 1)
    return {**options, "add_dummy_prefix": bool(prefix)}


def _numbers(model: bytes, part: int) -> dict[int, int]:
    """Return the whole numbers in a part of a model by the number of their field; defaults may be missing."""
    content = b"".join(value for number, value in fields(model) if number == part and isinstance(value, bytes))
    return {number: value for number, value in fields(content) if isinstance(value, int)}


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[offset]
        value |= (byte & 127) << shift
        offset, shift = offset + 1, shift + 7
        if byte < 128:
            return value, offset
