"""The files of a MarianTokenizer as tokenizers of ours."""

from pathlib import Path
from typing import Any, NamedTuple

from translator.errors import CheckpointError, TokenizerError
from translator.interop.huggingface.tokenizer import SOURCE_SPM, TARGET_SPM, TARGET_VOCABULARY, VOCABULARY
from translator.interop.imported import tokenizer_for
from translator.runtime.json_files import read_json
from translator.text import Tokenizer, TokenizerPair, Vocabulary


class Pieces(NamedTuple):
    """What the model says of its vocabularies."""

    start: int
    """The id that every target begins with."""
    zero_start: bool
    """Whether the embedding of that id is zero, so that it stands for no piece."""
    source: int
    """Rows of the source embedding."""
    target: int
    """Rows of the target embedding."""


class Kept(NamedTuple):
    """The rows of the embeddings that a vocabulary of ours has, in its order."""

    source: list[int]
    target: list[int]


def load_pieces(path: Path, pieces: Pieces) -> tuple[TokenizerPair, Kept]:
    """Return the tokenizers, and which rows their ids are; raise `TokenizerError` if files are missing or damaged.

    A start that is zero (`<pad>`) is left out: ours begin with a vector of zeros without naming it.
    """
    files = [path / SOURCE_SPM, path / TARGET_SPM, path / VOCABULARY]
    if missing := [file.name for file in files if not file.is_file()]:
        raise TokenizerError(
            f"{path} has no {missing[0]}; expected the files of a MarianTokenizer: {SOURCE_SPM}, {TARGET_SPM} and "
            f"{VOCABULARY}"
        )
    config = path / "tokenizer_config.json"
    stated = read_json(config, {}, CheckpointError, "download it again") if config.is_file() else {}
    end, unknown = (
        _name(stated.get(f"{name}_token"), default) for name, default in (("eos", "</s>"), ("unk", "<unk>"))
    )
    second = path / TARGET_VOCABULARY
    lists = [path / VOCABULARY, second if second.is_file() else path / VOCABULARY]
    made: list[Tokenizer] = []
    rows: list[list[int]] = []
    for spm, file, size in zip(files[:2], lists, (pieces.source, pieces.target), strict=True):
        names = _read_pieces(file, size)
        start = names[pieces.start] if pieces.start < len(names) else None
        if pieces.zero_start and start not in (end, unknown):
            kept = [index for index in range(len(names)) if index != pieces.start]
        else:
            kept = list(range(len(names)))
        vocabulary = Vocabulary(
            tuple(names[index] for index in kept), None if pieces.zero_start else start, end, unknown
        )
        vocabulary.check(str(file))
        rows.append(kept)
        made.append(tokenizer_for(spm, vocabulary))
    joint = made[0].digest == made[1].digest
    return TokenizerPair(made[0], made[0] if joint else made[1], joint), Kept(*rows)


def _name(stated: Any, default: str) -> str:
    """The name of a special token, which the library also writes as an object with the name as its `content`."""
    if isinstance(stated, dict):
        stated = stated.get("content")
    return default if stated is None else str(stated)


def _read_pieces(file: Path, size: int) -> list[str]:
    """The pieces by id; a model may have more rows, which no piece reads."""
    ids = read_json(file, {str: int}, TokenizerError, "download it again")
    if sorted(ids.values()) != list(range(len(ids))) or len(ids) > size:
        raise TokenizerError(
            f"{file} does not number its {len(ids):,} pieces from 0 on, or has more than the model, which has {size:,}"
        )
    return sorted(ids, key=ids.__getitem__)
