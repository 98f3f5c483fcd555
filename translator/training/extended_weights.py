"""Rows for new pieces of a vocabulary: the mean of the rows of the pieces that their text was cut into before.

So the model begins with what it knows of a word from its parts. Of a new script it knows bytes at most, and of a new
language tag the other tags.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from translator.config import ModelSettings
from translator.errors import CheckpointError
from translator.text import Tokenizer, TokenizerPair

_SOURCE, _TARGET = ("source_embedding.weight",), ("target_embedding.weight", "output_weight", "output_bias")


def extended_weights(
    weights: Mapping[str, Tensor], settings: ModelSettings, old: TokenizerPair, new: TokenizerPair
) -> dict[str, Tensor]:
    """Return weights for the vocabulary `new`, whose first pieces are all of `old`, from those for `old`.

    Embeddings and output projection `[V, d_model]` and the output bias `[V]` get rows at the end; everything else is as
    it was. Raises `CheckpointError` if `new` does not begin with `old`.
    """
    for before, after in ((old.source, new.source), (old.target, new.target)):
        if after.pieces(range(min(before.vocab_size, after.vocab_size))) != before.pieces(range(before.vocab_size)):
            raise CheckpointError(
                "the vocabulary of this run is not that of the run in start_from with more pieces; put the tokenizers "
                "of both back as they were, or begin another run with run=DIRECTORY"
            )
    sides = {**dict.fromkeys(_SOURCE, [old.source]), **dict.fromkeys(_TARGET, [old.target])}
    if settings.tie_embeddings == "all" and not old.joint:
        # A shared row belongs to both.
        sides["output_weight"] = [old.source, old.target]
    extended = dict(weights)
    for name in sides.keys() & weights.keys():
        pieces = new.source if name in _SOURCE else new.target
        extended[name] = torch.cat([weights[name], _new_rows(weights[name], sides[name], pieces)])
    return extended


def _new_rows(table: Tensor, old: list[Tokenizer], new: Tokenizer) -> Tensor:
    """Return the rows of the pieces of `new` that are not in `old`, from the rows `table` of those that are."""
    first = old[0].vocab_size
    tags = {index for index in new.tags.values() if index >= first}
    known = [index for index in new.tags.values() if index < first] or list(range(first))
    rows = []
    for index, piece in enumerate(new.pieces(range(first, new.vocab_size)), start=first):
        parts = known if index in tags else [part for tokenizer in old for part in tokenizer.cut(piece)]
        rows.append(table[parts].mean(dim=0))
    return torch.stack(rows) if rows else table[:0]
