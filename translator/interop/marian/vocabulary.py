"""The vocabularies of a Marian model: SentencePiece models, alone or with a list of pieces in YAML."""

import json
from collections.abc import Sequence
from pathlib import Path

from translator.config.yaml_file import parse_yaml
from translator.errors import TokenizerError
from translator.text import Tokenizer, TokenizerPair, Vocabulary

_MOST_BYTES = 1 << 26


def load_vocabularies(files: Sequence[Path], segmenters: Sequence[Path], sizes: tuple[int, int]) -> TokenizerPair:
    """Return the tokenizers of source and target.

    `files` are the vocabularies, one or two: SentencePiece models, or lists of pieces (`.yml`, `.json`), which need the
    SentencePiece models `segmenters`, one or two, to cut words into pieces. `sizes` are the rows of the embeddings of
    both sides. Raises `TokenizerError` if a file is damaged or does not fit the embeddings.
    """
    both = [*files, *files][:2] if len(files) == 1 else list(files)
    models = [*segmenters, *segmenters][:2] if len(segmenters) == 1 else list(segmenters)
    made = [
        _load(file, model, size)
        for file, model, size in zip(both, models or [None, None], sizes, strict=True)  # type: ignore[list-item]
    ]
    if made[0].digest == made[1].digest:
        return TokenizerPair(made[0], made[0], True)
    return TokenizerPair(made[0], made[1], False)


def _load(file: Path, segmenter: Path | None, size: int) -> Tokenizer:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise TokenizerError(f"cannot read the vocabulary {file}: {error.strerror or error}") from None
    if file.suffix in (".yml", ".yaml", ".json"):
        if segmenter is None:
            raise TokenizerError(
                f"{file} is a list of pieces, and no SentencePiece model (source.spm, target.spm) is next to it; name "
                "one for each side with --tokenizer"
            )
        pieces = _pieces(content, file)
        unused = (f"<unused {index}>" for index in range(len(pieces), size))
        vocabulary = Vocabulary((*pieces, *unused))
        vocabulary.check(str(file))
        tokenizer = Tokenizer(segmenter.read_bytes(), str(segmenter), vocabulary)
    else:
        tokenizer = Tokenizer(content, str(file))
        if not tokenizer.zero_start:
            # Marian begins with a vector of zeros, whatever the SentencePiece model has.
            names = tuple(tokenizer.pieces(range(tokenizer.vocab_size)))
            end, unknown = names[tokenizer.eos_id], names[tokenizer.unk_id]
            tokenizer = Tokenizer(content, str(file), Vocabulary(names, None, end, unknown))
    if tokenizer.vocab_size != size:
        raise TokenizerError(
            f"{file} has {tokenizer.vocab_size:,} pieces and the model embeddings for {size:,}; expected the "
            "vocabulary that the model was trained with"
        )
    return tokenizer


def _pieces(content: bytes, file: Path) -> list[str]:
    """The pieces by id, of a list `piece: id` in YAML or JSON, one a line."""
    if len(content) > _MOST_BYTES:
        raise TokenizerError(f"{file} is larger than {_MOST_BYTES >> 20} MiB; expected a list of pieces")
    try:
        text = content.decode("utf-8")
        found = json.loads(text) if file.suffix == ".json" else parse_yaml(text, str(file), [])
        ids = {str(piece): int(index) for piece, index in found.items()}
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise TokenizerError(f"{file} is no list of pieces (`piece: id`): {' '.join(str(error).split())}") from None
    if sorted(ids.values()) != list(range(len(ids))):
        raise TokenizerError(f"{file} does not number its {len(ids):,} pieces from 0 to {len(ids) - 1:,}")
    return sorted(ids, key=ids.__getitem__)
