"""Heads are named by kind, layer and number."""

import pytest

from translator.config import KINDS, Head, parse_head
from translator.errors import ConfigError


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_is_read_as_it_is_written(kind: str) -> None:
    assert parse_head(str(Head(kind, 2, 13))) == Head(kind, 2, 13)


@pytest.mark.parametrize("text", ["", "cross", "cross.1", "cross.0.1", "cross.1.0", "cross.1.1.1", "self.1.1", "2.1"])
def test_other_names_are_explained(text: str) -> None:
    with pytest.raises(ConfigError, match=r"KIND\.LAYER\.HEAD"):
        parse_head(text)
