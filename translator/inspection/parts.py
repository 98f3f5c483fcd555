"""Names for groups of heads: one head, all heads of a layer, all heads of a kind, or all heads of a model."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from translator.config import KINDS, Head
from translator.errors import ConfigError
from translator.model import Transformer

Counts = Mapping[str, Sequence[int]]
"""The number of heads of every layer, by kind."""


class Part(NamedTuple):
    """Some heads of a model; None means all."""

    kind: str | None = None
    layer: int | None = None
    head: int | None = None

    def __str__(self) -> str:
        return ".".join(str(value) for value in self if value is not None) or "all"


def parse_part(text: str) -> Part:
    """Read `cross.2.1`, `cross.2`, `cross` or `all`; raises `ConfigError` for anything else."""
    if text.strip() == "all":
        return Part()
    found = re.fullmatch(rf"({'|'.join(KINDS)})(?:\.([1-9]\d{{0,5}})(?:\.([1-9]\d{{0,5}}))?)?", text.strip())
    if found is None:
        raise ConfigError(
            [
                f"head: found {text!r}, expected KIND.LAYER.HEAD, such as cross.2.1, KIND.LAYER for all heads of a "
                f"layer, KIND ({', '.join(KINDS)}) or all"
            ]
        )
    kind, layer, head = found.groups()
    return Part(kind, int(layer) if layer else None, int(head) if head else None)


def head_counts(model: Transformer) -> dict[str, list[int]]:
    """Return the number of heads of every layer of a model, by kind."""
    return {kind: [module.num_heads for module in model.attentions(kind)] for kind in KINDS}


def heads_of(part: Part, counts: Counts, run: str) -> list[Head]:
    """Return the heads of a part, by kind, layer and index; raises `ConfigError` if `run` has none of them."""
    found = [
        head
        for kind in KINDS
        for layer, count in enumerate(counts[kind], start=1)
        for head in (Head(kind, layer, index) for index in range(1, count + 1))
        if all(wanted in (None, value) for wanted, value in zip(part, head, strict=True))
    ]
    if not found:
        layers = ", ".join(map(str, counts[part.kind])) if part.kind else "no"
        raise ConfigError([f"head: {part} is not in {run}, whose {part.kind} layers have {layers} heads"])
    return found
