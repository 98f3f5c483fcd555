"""A line that says for itself what its translation begins with, holds, avoids, and which language it is in."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from translator.errors import ConfigError, DataError

_FIELDS = ("text", "prefix", "required", "banned", "to")
_EXAMPLE = '{"text": "A dog runs.", "required": ["Hund"]}'


@dataclass(frozen=True)
class ConstrainedLine:
    """A line of text with constraints of its own; the settings of the call hold for it as well.

    Raises `ConfigError` if `required` or `banned` is a text instead of several.
    """

    text: str
    prefix: str | None = None
    """Text that its translation begins with, instead of `decoding.prefix`; "" is none."""
    required: Sequence[str] = ()
    """Texts that its translation contains, and those of `decoding.required` too."""
    banned: Sequence[str] = ()
    """Texts that its translation does not contain at the beginning of a word, nor those of `decoding.banned`."""
    to: str | None = None
    """The language to translate it into, for a run with language tags; by default that of the call."""
    where: str = ""
    """File and line, for messages."""

    def __post_init__(self) -> None:
        for field in ("required", "banned"):
            if isinstance(getattr(self, field), str):
                raise ConfigError([f"{field}: found the text {getattr(self, field)!r}, expected a list of texts"])

    @property
    def has_phrases(self) -> bool:
        """Whether it requires or bans anything."""
        return bool(self.required or self.banned)


def read_json_line(raw: str, where: str) -> ConstrainedLine:
    """Read a line of JSON: an object with `text` and, if wanted, `prefix`, `required`, `banned` and `to`.

    An empty line is a blank text, so that there is a translation for every line. A field that is null counts as left
    out. Raises `DataError` with `where` and the field for anything else; an unknown field is refused, because a
    constraint whose name is misspelt would be lost without a word.
    """
    if not raw.strip():
        return ConstrainedLine("", where=where)
    try:
        fields = json.loads(raw, object_pairs_hook=lambda pairs: _fields_of(pairs, where))
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON ({error.msg}, column {error.colno}); expected {_EXAMPLE}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: cannot be read as JSON ({error}); expected {_EXAMPLE}") from None
    if not isinstance(fields, dict):
        raise DataError(f"{where}: found {_shown(fields)}, expected an object such as {_EXAMPLE}")
    if "text" not in fields:
        raise DataError(f"{where}, text: the field is missing; expected {_EXAMPLE}")
    return ConstrainedLine(
        # A line feed would divide the line in two.
        text=_text(fields["text"], where, "text").replace("\n", " "),
        prefix=_prefix(fields.get("prefix"), where),
        required=_texts(fields.get("required"), where, "required"),
        banned=_texts(fields.get("banned"), where, "banned"),
        to=None if fields.get("to") is None else _text(fields["to"], where, "to"),
        where=where,
    )


def _fields_of(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    """Return the fields of an object, each of which may be there once."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name not in _FIELDS:
            close = get_close_matches(name, _FIELDS, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise DataError(f"{where}, {name}: there is no such field; expected {', '.join(_FIELDS)}{hint}")
        if name in fields:
            raise DataError(f"{where}, {name}: the field is there twice; leave one out")
        fields[name] = value
    return fields


def _text(value: Any, where: str, field: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}, {field}: found {_shown(value)}, expected a text")
    return value


def _texts(value: Any, where: str, field: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise DataError(f'{where}, {field}: found {_shown(value)}, expected a list of texts, such as ["Hund"]')
    return tuple([_whole(text, where, field) for text in value])


def _prefix(value: Any, where: str) -> str | None:
    return None if value is None else _whole(_text(value, where, "prefix"), where, "prefix")


def _whole(text: str, where: str, field: str) -> str:
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise DataError(f"{where}, {field}: found {ascii(text)[:40]}, half of a character; expected whole ones")
    return text


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:40]}..."
