"""Which source word a target word comes from, by where one cross-attention head looks: `translate`'s own alignment.

Only `maps` is needed; decoding's `alignment` is what makes the same of whole files.
"""

import re

from translator.config import Head
from translator.errors import ConfigError
from translator.inspection.maps import AttentionMaps
from translator.translation.word_alignment import pharaoh, word_links


def alignment_of(maps: AttentionMaps, head: Head | None = None) -> str:
    """Return linked words (source-target, counted from 0) in Pharaoh format, such as `0-0 1-2`.

    A target piece is linked to the source piece that `head` looks at most to predict it, language tag and end mark
    excepted; without `head`, the run's own is taken. Raises `ConfigError` where that is unknown, and for a head that is
    not in the cross-attention.
    """
    head = head or maps.alignment_head
    if head is None:
        raise ConfigError(
            [f"head: {maps.run} has learned no head for alignments; name a cross-attention head, such as cross.1.1"]
        )
    if head.kind != "cross":
        raise ConfigError([f"head: found {head}, expected a head of the cross-attention, such as cross.1.1"])
    # No text begins with a piece like a tag: it would begin a word.
    first = int(re.fullmatch(r"<2.+>", maps.source[0]) is not None)
    weights = maps.of(head)[:-1, first:-1]  # without the row that predicts the end
    return pharaoh(word_links(maps.source[first:-1], maps.predicted[:-1], weights.argmax(-1).tolist()))
