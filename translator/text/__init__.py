"""Text in: lines, parallel corpora and the SentencePiece tokenizer."""

from translator.text.corpus import Corpus, hash_file
from translator.text.corpus_lines import read_lines
from translator.text.extension import extend_tokenizers
from translator.text.input_lines import InputLines, count_lines, decode_lines, describe_lines, open_input
from translator.text.open_corpus import open_corpus
from translator.text.tags import choose_tag, tag_symbol, with_tag
from translator.text.tokenizer import Tokenizer
from translator.text.tokenizer_file import find_tokenizer, parse_ids, read_tokenizer_settings, train_model_file
from translator.text.tokenizer_pair import (
    TOKENIZER_NAMES,
    TokenizerPair,
    copy_tokenizers,
    load_given_tokenizers,
    load_tokenizers,
    require_shared_ids,
    save_tokenizers,
    tokenizer_files,
)
from translator.text.tokenizer_training import train_tokenizer, train_tokenizers
from translator.text.vocabulary import Vocabulary
from translator.text.word_links import AlignmentFile, WordLinks, parse_links

__all__ = [
    "TOKENIZER_NAMES",
    "AlignmentFile",
    "Corpus",
    "InputLines",
    "Tokenizer",
    "TokenizerPair",
    "Vocabulary",
    "WordLinks",
    "choose_tag",
    "copy_tokenizers",
    "count_lines",
    "decode_lines",
    "describe_lines",
    "extend_tokenizers",
    "find_tokenizer",
    "hash_file",
    "load_given_tokenizers",
    "load_tokenizers",
    "open_corpus",
    "open_input",
    "parse_ids",
    "parse_links",
    "read_lines",
    "read_tokenizer_settings",
    "require_shared_ids",
    "save_tokenizers",
    "tag_symbol",
    "tokenizer_files",
    "train_model_file",
    "train_tokenizer",
    "train_tokenizers",
    "with_tag",
]
