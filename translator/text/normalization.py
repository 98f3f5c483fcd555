"""What SentencePiece does to the characters of a text before it is split: rules by name, or a table.

A rule is stored inside the SentencePiece model, so that everything that reads the model applies it. The default, `nfc`,
is not one that SentencePiece knows: it is given to it as a table.
"""

import contextlib
import functools
import itertools
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from translator.errors import TokenizerError
from translator.text.model_fields import NORMALIZER, field, fields

_NAME, _COMPILED, _TABLE = 1, 2, 6
"""Fields of a `NormalizerSpec`."""


@contextlib.contextmanager
def rule_options(rule: str, table: str | None) -> Iterator[dict[str, Any]]:
    """Yield a rule as options of SentencePiece's trainer: `normalization_rule_name` or `normalization_rule_tsv`.

    `rule` is a value of `tokenizer.normalization`, and `table` the file that `table` means. Raises `TokenizerError` if
    that file is missing or damaged.
    """
    if rule not in ("nfc", "table"):
        yield {"normalization_rule_name": rule}
        return
    if rule == "table":
        assert table is not None  # Settings without one are refused.
        try:
            content = Path(table).read_bytes()
        except OSError as error:
            raise TokenizerError(f"cannot read tokenizer.normalization_table {table}: {error.strerror}") from None
        _check_table(content, table)
    else:
        content = _nfc_table()
    # Copied, so that it cannot change while it is read.
    with tempfile.TemporaryDirectory(prefix="translator-") as directory:
        file = Path(directory) / "rules.tsv"
        file.write_bytes(content)
        yield {"normalization_rule_tsv": str(file)}


def make_normalizer(rule: str, table: str | None) -> Any:
    """Return SentencePiece's normalizer for a rule, which leaves spaces alone; arguments as of `rule_options`."""
    import sentencepiece

    with rule_options(rule, table) as options:
        named = {name.removeprefix("normalization_"): value for name, value in options.items()}
        return sentencepiece.SentencePieceNormalizer(
            **named, add_dummy_prefix=False, escape_whitespaces=False, remove_extra_whitespaces=False
        )


def with_rule(model: bytes, rule: str, table: str | None) -> bytes:
    """Return a SentencePiece model with a rule in the place of its own; arguments as of `rule_options`."""
    import sentencepiece

    compiled = make_normalizer(rule, table).serialized_normalizer_spec()
    # The path of a table is left out: the same text must give the same model.
    rules = dict(fields(compiled)).get(_COMPILED, b"")
    assert isinstance(rules, bytes)
    spec = field(_NAME, rule.encode()) + field(_COMPILED, rules) + field(_TABLE, b"")
    # Concatenated protocol buffers are merged: the later value of a field counts.
    merged = model + field(NORMALIZER, spec)
    changed: bytes = sentencepiece.SentencePieceProcessor(model_proto=merged).serialized_model_proto()
    return changed


def as_seen(text: str) -> str:
    """Return a text without differences that a reader cannot see: in NFC, and with single spaces.

    Only U+0020 counts as a space: wider, narrower and non-breaking ones look different or mean something.
    """
    composed = text if text.isascii() else unicodedata.normalize("NFC", text)
    return " ".join(filter(None, composed.split(" ")))


@functools.cache
def _nfc_table() -> bytes:
    """Return all characters and decompositions that NFC changes, as SentencePiece's `normalization_rule_tsv`."""
    rows = {}
    for character in map(chr, itertools.chain(range(0xD800), range(0xE000, sys.maxunicode + 1))):
        composed = unicodedata.normalize("NFC", character)
        if composed != character:
            rows[character] = composed
        elif len(parts := unicodedata.normalize("NFD", character)) > 1:
            rows |= dict.fromkeys(_spellings(parts, character), character)
    lines = (f"{_code_points(found)}\t{_code_points(wanted)}\n" for found, wanted in sorted(rows.items()))
    return "".join(lines).encode()


def _spellings(parts: str, composed: str) -> Iterator[str]:
    """Yield all that NFC makes one `composed` character of: its marks in any order, some of them composed already."""
    for order in itertools.permutations(parts[1:]):
        for count in range(len(order)):
            start = unicodedata.normalize("NFC", parts[0] + "".join(order[:count]))
            spelling = start + "".join(order[count:])
            if len(start) == 1 and unicodedata.normalize("NFC", spelling) == composed:
                yield spelling


def _code_points(text: str) -> str:
    return " ".join(f"{ord(character):X}" for character in text)


def _check_table(content: bytes, name: str) -> None:
    """Raise `TokenizerError` if a table is not as SentencePiece wants it."""
    try:
        lines = content.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise TokenizerError(f"{name} is not UTF-8; expected code points as `FB01<TAB>66 69`") from None
    for number, line in enumerate(lines, start=1):
        cells = line.split("\t")
        if not line.strip() or line.startswith("#"):
            continue
        try:
            codes = [[int(code, 16) for code in cell.split()] for cell in cells[:2]]
            valid = len(codes) == 2 and bool(codes[0]) and all(chr(code) for code in itertools.chain(*codes))
        except (ValueError, OverflowError):
            valid = False
        if not valid:
            raise TokenizerError(
                f"{name}, line {number:,}: found {line[:60]!r}, expected code points in hexadecimal, a tab, and those "
                "that replace them, such as `FB01<TAB>66 69`"
            )
