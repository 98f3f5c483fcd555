"""Attention maps with chosen pieces and random weights, for tests of pages, pictures and files."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from translator.config import Head
from translator.inspection import AttentionMaps

HOSTILE = (
    "\u2581<script>alert(1)</script>", "\u2581$a_b$", "\u2581$", "\u2581\x1b[31mred", "\u2581a\nb", "\u2581\u202eright",
    "\u2581\u5c71\u7530", "\u2581e\u0301", "\u2581\U0001f468\u200d\U0001f469", "\u2581\ud55c", "\u0301", "\u2581\ufeff",
    "\u2581\u0915\u094d\u0937", "<0x0A>", "\u2581&amp;", "\u2581%s", "\u2581\\alpha", "\u2581",
)  # fmt: skip
"""Pieces that could be mistaken for markup or commands, or that no font has."""


def made_up_maps(
    source: Sequence[str] = ("\u2581A", "\u2581dog", "\u2581run", "s", "."),
    target: Sequence[str] = ("\u2581Ein", "\u2581Hund", "\u2581renn", "t"),
    heads: Sequence[tuple[int, int, int]] = ((2, 2, 2), (2, 2, 2)),
    tag: str | None = None,
    alignment_head: Head | None = None,
    seed: int = 1,
) -> AttentionMaps:
    """Return maps of sentences in pieces without special tokens; `heads` by layer are encoder, decoder and cross."""
    read = (*([tag] if tag else []), *source, "</s>")
    given = ("<s>", *target)
    generator = np.random.default_rng(seed)
    sizes = {"encoder": (len(read),) * 2, "decoder": (len(given),) * 2, "cross": (len(given), len(read))}
    weights = {
        kind: tuple(_weights(generator, (layer[place], *sizes[kind]), kind == "decoder") for layer in heads)
        for place, kind in enumerate(sizes)
    }
    return AttentionMaps(
        run="my_$run$",
        source_text="".join(source).replace("\u2581", " ").strip(),
        target_text="".join(target).replace("\u2581", " ").strip(),
        source=read,
        target=given,
        predicted=(*target, "</s>"),
        weights=weights,
        alignment_head=alignment_head,
    )


def _weights(generator: np.random.Generator, size: tuple[int, int, int], causal: bool) -> NDArray[np.float32]:
    weights = generator.random(size).astype(np.float32) ** 4
    if causal:
        weights = np.tril(weights)
    return weights / weights.sum(-1, keepdims=True)
