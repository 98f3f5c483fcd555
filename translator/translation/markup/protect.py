"""Strings that translation must not change (`decoding.protect`): named kinds, and regular expressions of the user."""

import re
from collections.abc import Sequence
from functools import lru_cache

from translator.config.decoding_rules import PROTECTED
from translator.translation.markup.tokens import Token


def protect(tokens: Sequence[Token], patterns: Sequence[str]) -> list[Token]:
    """Return the tokens with what the patterns match in text as atoms."""
    if not patterns:
        return list(tokens)
    expression = _expression(tuple(patterns))
    split: list[Token] = []
    for token in tokens:
        split += _split(token, expression) if token.kind == "text" else [token]
    return split


@lru_cache(64)
def _expression(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{PROTECTED.get(pattern, pattern)})" for pattern in patterns))


def _split(token: Token, expression: re.Pattern[str]) -> list[Token]:
    found: list[Token] = []
    position = 0
    spans = [match.span() for match in expression.finditer(token.text) if match[0].strip()]
    for begin, end in [*spans, (len(token.characters), len(token.characters))]:
        for kind, characters in (
            ("text", token.characters[position:begin]),
            ("protected", token.characters[begin:end]),
        ):
            if characters:
                found.append(Token(kind, "".join(raw for _, raw in characters), characters=characters))
        position = end
    return found
