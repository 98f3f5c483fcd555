"""The names of attention heads: `KIND.LAYER.HEAD`, counted from 1, such as `cross.2.1`."""

import re
from typing import NamedTuple

from translator.errors import ConfigError

KINDS = ("encoder", "decoder", "cross")
"""Encoder self-attention, masked decoder self-attention, and cross-attention from the decoder to the encoder output."""


class Head(NamedTuple):
    """One attention head of a model; layer and head are counted from 1."""

    kind: str
    layer: int
    head: int

    def __str__(self) -> str:
        return f"{self.kind}.{self.layer}.{self.head}"


def parse_head(text: str) -> Head:
    """Read the name of a head; raise `ConfigError` for anything else."""
    found = re.fullmatch(rf"({'|'.join(KINDS)})\.([1-9]\d{{0,5}})\.([1-9]\d{{0,5}})", text.strip())
    if found is None:
        raise ConfigError(
            [f"head: found {text!r}, expected KIND.LAYER.HEAD with a kind of {', '.join(KINDS)}, such as cross.2.1"]
        )
    return Head(found[1], int(found[2]), int(found[3]))
