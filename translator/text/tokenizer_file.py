"""A tokenizer in a file of its own, outside any run: what `translator tokenizer` works with."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from translator.config import TokenizerSettings, load_config
from translator.config.contradictions import tokenizer_mistakes
from translator.config.corpus_spec import split_pattern
from translator.errors import ConfigError, DataError, TokenizerError
from translator.runtime.outputs import check_output, write_output
from translator.text.corpus import Languages
from translator.text.corpus_lines import read_lines
from translator.text.open_corpus import is_corpus, open_corpus
from translator.text.tokenizer import Tokenizer
from translator.text.tokenizer_pair import load_tokenizers
from translator.text.tokenizer_training import train_tokenizer

_COLUMNS = ("data.source_language", "data.target_language")


def read_tokenizer_settings(words: Sequence[str]) -> tuple[TokenizerSettings, Languages]:
    """Read `KEY=VALUE` words: bare names of the section `tokenizer`, and the columns of tables, returned second.

    Raises `ConfigError` with all mistakes.
    """
    dotted, problems = [], []
    for word in words:
        key, equals, _ = word.partition("=")
        name = key.removeprefix("tokenizer.")
        if name in ("model", "joint", "source_normalization"):
            problems.append(
                f"{key}: one model is trained here, on all text that is given; call the command for each "
                "side to have two"
            )
        elif "." in name and key not in _COLUMNS:
            problems.append(f"{key}: only settings of tokenizer, {' and '.join(_COLUMNS)} count here")
        else:
            dotted.append(word if "." in key or not equals else f"tokenizer.{word}")
    if problems:
        raise ConfigError(problems)
    config = load_config(None, dotted)
    if problems := tokenizer_mistakes(config.tokenizer):
        raise ConfigError(problems)
    return config.tokenizer, (config.data.source_language, config.data.target_language)


def train_model_file(
    corpora: Sequence[str], settings: TokenizerSettings, output: Path, languages: Languages = (None, None)
) -> Tokenizer:
    """Train on the lines of text files and both sides of corpora, in order, and write the model file.

    `languages` are those of source and target, to find the columns of tables.

    Raises `OutputError`, before any work, if `output` cannot be written or is one of the corpora, `DataError` for
    damaged input, and `TokenizerError` if there is too little text.
    """
    check_output(output, inputs=[Path(file) for corpus in corpora for file in _files_of(corpus)])
    sources = [_open_text(spec, languages) for spec in corpora]
    tokenizer = train_tokenizer(lambda: (line for source in sources for line in source()), settings)
    write_output(output, tokenizer.model)
    return tokenizer


def _files_of(spec: str) -> list[str]:
    """Name the files that the text or corpus `spec` is read from; none of a set that is downloaded."""
    if spec.startswith(("hub:", "mtdata:")):
        return []
    parts = split_pattern(spec)
    return [spec] if parts is None else [f"{parts[0]}{language}{parts[3]}" for language in parts[1:3]]


def find_tokenizer(path: Path, side: str | None = None) -> Tokenizer:
    """Load a model file, or the tokenizer of a run or of prepared data; `side` chooses if there are two.

    Raises `TokenizerError` if there is none, or if there are two and no `side` is given.
    """
    if not path.is_dir():
        return Tokenizer.load(path)
    tokenizers = load_tokenizers(path)
    if side is None and not tokenizers.joint:
        raise TokenizerError(f"{path} has a tokenizer for each side; say --side source or --side target")
    return tokenizers.target if side == "target" else tokenizers.source


def parse_ids(line: str, vocab_size: int, where: str) -> list[int]:
    """Read piece ids separated by spaces; raise `DataError`, which names `where`, for anything else."""
    ids = []
    for word in line.split():
        if not (word.isascii() and word.isdigit()) or int(word) >= vocab_size:
            raise DataError(f"{where}: found {word[:40]!r}, expected piece ids from 0 to {vocab_size - 1}")
        ids.append(int(word))
    return ids


def _open_text(spec: str, languages: Languages) -> Callable[[], Iterator[str]]:
    if not is_corpus(spec):
        return lambda: read_lines(spec)
    corpus = open_corpus(spec, *languages)
    return lambda: chain.from_iterable(corpus.pairs())
