"""Text in: lines, parallel corpora and the SentencePiece tokenizer."""

from translator.text.corpus import Corpus, hash_file, open_corpus
from translator.text.lines import read_lines
from translator.text.tokenizer import (
    Tokenizer,
    TokenizerPair,
    copy_tokenizers,
    load_tokenizers,
    save_tokenizers,
    tokenizer_files,
)
from translator.text.tokenizer_training import train_tokenizers

__all__ = [
    "Corpus",
    "Tokenizer",
    "TokenizerPair",
    "copy_tokenizers",
    "hash_file",
    "load_tokenizers",
    "open_corpus",
    "read_lines",
    "save_tokenizers",
    "tokenizer_files",
    "train_tokenizers",
]
