"""Corpora and prepared data that the tests of this room share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from translator.config import Config

Pairs = list[tuple[str, str]]

NOUNS = (("dog", "Hund"), ("cat", "Kater"), ("man", "Mann"), ("bird", "Vogel"), ("tree", "Baum"))
VERBS = (("sees", "sieht"), ("finds", "findet"), ("likes", "mag"), ("loses", "verliert"))


def sentences(start: int, count: int) -> Pairs:
    """Distinct pairs of four to a dozen words."""
    pairs = []
    for number in range(start, start + count):
        noun, verb = NOUNS[number % 5], VERBS[number // 5 % 4]
        tail = [f"and {word}" for word in ("again", "now", "here")][: number % 4]
        pairs.append((
            " ".join([f"the {noun[0]} {verb[0]} house {number}", *tail]) + ".",
            " ".join([f"der {noun[1]} {verb[1]} Haus {number}", *tail]).replace("and", "und") + ".",
        ))  # fmt: skip
    return pairs


@pytest.fixture
def corpus(tmp_path: Path) -> Callable[[str, Pairs], str]:
    """Write NAME.en and NAME.de; return the pattern for them."""

    def write(name: str, pairs: Pairs) -> str:
        for side, language in enumerate(("en", "de")):
            file = tmp_path / f"{name}.{language}"
            file.write_bytes("".join(pair[side] + "\n" for pair in pairs).encode())
        return f"{tmp_path}/{name}.{{en,de}}"

    return write


@pytest.fixture
def settings() -> Callable[..., Config]:
    """Make a configuration with a small vocabulary out of settings of `data`, and others by section."""

    def make(sections: dict[str, Any] | None = None, **data: Any) -> Config:
        values = {"preset": "tiny", "tokenizer": {"vocab_size": 340}, **(sections or {}), "data": data}
        return Config.model_validate(values)

    return make
