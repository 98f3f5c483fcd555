"""Fields of a SentencePiece model file that the library does not give away: it is a protocol buffer.

The numbers of the fields are those of `sentencepiece_model.proto`.
"""

from collections.abc import Iterator

PIECES, NORMALIZER = 1, 3
_NAME, _TYPE, _USER_DEFINED = 1, 3, 4


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
    size, length = len(content), bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content


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


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[offset]
        value |= (byte & 127) << shift
        offset, shift = offset + 1, shift + 7
        if byte < 128:
            return value, offset
