"""Corpora and prepared data that the tests of this room share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from translator.config import Config

Pairs = list[tuple[str, str]]


@pytest.fixture
def pairs() -> Callable[[int, int], Pairs]:
    """Distinct pairs of four to seven words: `pairs(first number, count)`."""
    nouns = (("dog", "Hund"), ("cat", "Kater"), ("man", "Mann"), ("bird", "Vogel"), ("tree", "Baum"))

    def make(start: int, count: int) -> Pairs:
        made = []
        for number in range(start, start + count):
            source, target = nouns[number % 5]
            made.append((f"the {source} sees house {number}.", f"der {target} sieht Haus {number}."))
        return made

    return make


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
