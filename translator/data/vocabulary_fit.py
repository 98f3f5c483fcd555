"""Whether a vocabulary fits the text that is trained on: text in another script is spelt in bytes, or lost."""

import numpy as np

from translator.data.dataset import ParallelDataset
from translator.text import Tokenizer, TokenizerPair

_MOST = 0.2
"""Share of bytes and unknown pieces above which a vocabulary does not fit."""
_PAIRS = 20_000
"""Pairs that are looked at, evenly over the corpus."""


def misfits(dataset: ParallelDataset, tokenizers: TokenizerPair) -> list[str]:
    """Return a warning for each side of which more than a fifth of the pieces are bytes or unknown."""
    indices = np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), _PAIRS)).astype(np.int64))
    pairs = dataset.gather(indices)
    sides = (
        ("source", pairs.source_tokens, tokenizers.source),
        ("target", pairs.target_tokens, tokenizers.target),
    )
    return [
        f"{100 * share:.0f} % of the pieces of the {side} are single bytes or unknown: the vocabulary does not fit the "
        "text, which makes training slow and translations poor; with start_from, add pieces with tokenizer.extend; "
        "otherwise train a vocabulary on the text (without tokenizer.model), or raise tokenizer.vocab_size or "
        "tokenizer.character_coverage"
        for side, tokens, tokenizer in sides
        if (share := _share_without_pieces(tokens, tokenizer)) > _MOST
    ]


def _share_without_pieces(tokens: np.ndarray, tokenizer: Tokenizer) -> float:
    used, counts = np.unique(tokens, return_counts=True)
    poor = [piece == tokenizer.unk_id or tokenizer.is_byte(piece) for piece in used.tolist()]
    return float(counts[poor].sum()) / max(len(tokens), 1)
