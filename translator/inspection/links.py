"""Word alignment from the attention map of one cross-attention head, as `translate` computes it for whole files."""

from translator.config import Head
from translator.errors import ConfigError
from translator.inspection.maps import AttentionMaps
from translator.translation.word_alignment import pharaoh, word_links


def alignment_of(maps: AttentionMaps, head: Head | None = None) -> str:
    """Return aligned words (source-target, counted from 0) in Pharaoh format, such as `0-0 1-2`.

    A target piece is aligned to the source piece that `head` looks at most when predicting it, language tag and end
    token excluded. The default is the run's alignment head. Raises `ConfigError` if the run has none, or if `head` is
    not a cross-attention head.
    """
    head = head or maps.alignment_head
    if head is None:
        raise ConfigError(
            [f"head: {maps.run} has learned no head for alignments; name a cross-attention head, such as cross.1.1"]
        )
    if head.kind != "cross":
        raise ConfigError([f"head: found {head}, expected a head of the cross-attention, such as cross.1.1"])
    first = int(maps.has_tag)
    weights = maps.of(head)[:-1, first:-1]  # without the row that predicts the end token
    return pharaoh(word_links(maps.source[first:-1], maps.predicted[:-1], weights.argmax(-1).tolist()))
