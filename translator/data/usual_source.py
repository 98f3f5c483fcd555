"""What the sources of a training are like, which says how a line of several sentences is best translated."""

import numpy as np

from translator.data.dataset import ParallelDataset
from translator.text import Tokenizer
from translator.text.sentences import SPACES_END_SENTENCES, base_language, split_sentences

_USUAL_PERCENT = 99
_NEARLY_NONE = 0.01
"""A share of sources with several sentences, below which a model has not learnt to write more than one. It is 0.0002 in
Multi30k's captions, 0.009 in Tatoeba, 0.03 in news and 0.11 in a mixture of web pages."""
_SOURCES = 5000
"""Sources that are looked at, evenly over the corpus."""


def usual_source(train: ParallelDataset, tokenizer: Tokenizer, language: str | None, merged: bool) -> int:
    """Return `decoding.split_above` of models that are trained on these pairs: the pieces of the longest line that is
    not split into its sentences.

    It is the length that 99 of 100 sources do not exceed; or 0, so that every line is split, if fewer than 1 of 100
    sources hold several sentences: such a model translates one sentence of a line and leaves the others out. `merged`
    says that training joins pairs to lines of several sentences (`augmentation.merge`). `language` is that of the
    sources.
    """
    usual = int(np.percentile(train.source_lengths, _USUAL_PERCENT, method="higher"))
    # In Thai and Lao a sentence cannot be told from a clause, so that nothing can be counted.
    if merged or base_language(language) in SPACES_END_SENTENCES:
        return usual
    return 0 if _share_of_several(train, tokenizer, language) < _NEARLY_NONE else usual


def _share_of_several(train: ParallelDataset, tokenizer: Tokenizer, language: str | None) -> float:
    """Return the share of sources with more than one sentence."""
    indices = np.unique(np.linspace(0, len(train) - 1, min(len(train), _SOURCES)).astype(np.int64))
    pairs = train.gather(indices)
    sources = np.split(pairs.source_tokens, pairs.source_offsets[1:-1])
    texts = tokenizer.decode_all([source.tolist() for source in sources])
    # The rules need capitals, which text in lower case lacks.
    texts = [text.upper() if text.islower() else text for text in texts]
    return sum(len(split_sentences(text.strip(), language)) > 1 for text in texts) / len(texts)
