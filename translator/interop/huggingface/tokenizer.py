"""The tokenizers of a run as the files of `transformers`' MarianTokenizer."""

import json
from pathlib import Path
from typing import Any

from translator.checkpoints import Bundle
from translator.errors import TokenizerError
from translator.text import Tokenizer

SOURCE_SPM, TARGET_SPM = "source.spm", "target.spm"
VOCABULARY, TARGET_VOCABULARY = "vocab.json", "target_vocab.json"


def write_tokenizer(bundle: Bundle, directory: Path) -> None:
    """Write everything that `AutoTokenizer` needs into a directory that exists.

    Raises `TokenizerError` if two pieces would have the same name in the vocabulary.
    """
    source, target = bundle.tokenizers.source, bundle.tokenizers.target
    (directory / SOURCE_SPM).write_bytes(source.model)
    (directory / TARGET_SPM).write_bytes(target.model)
    _write_json(directory / VOCABULARY, _vocabulary(source, "source"))
    if not bundle.tokenizers.joint:
        _write_json(directory / TARGET_VOCABULARY, _vocabulary(target, "target"))
    _write_json(directory / "tokenizer_config.json", _tokenizer_config(bundle))


def marian_tag(language: str) -> str:
    """Return the tag of a target language as Marian's models write it at the beginning of a source line."""
    return f">>{language}<<"


def _vocabulary(tokenizer: Tokenizer, side: str) -> dict[str, int]:
    """Return the id of every piece by its name; only language tags have other names than ours."""
    names = tokenizer.pieces(range(tokenizer.vocab_size))
    for language, index in tokenizer.tags.items():
        names[index] = marian_tag(language)
    vocabulary = {name: index for index, name in enumerate(names)}
    if len(vocabulary) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise TokenizerError(
            f"two pieces of the {side} tokenizer are written {repeated!r}; MarianTokenizer needs distinct ones"
        )
    return vocabulary


def _tokenizer_config(bundle: Bundle) -> dict[str, Any]:
    source, target, data = bundle.tokenizers.source, bundle.tokenizers.target, bundle.config.data
    unknown, end, start = target.pieces([target.unk_id, target.eos_id, target.bos_id])
    if source.pieces([target.unk_id, target.eos_id, target.bos_id]) != [unknown, end, start]:
        raise TokenizerError(
            f"the special tokens of the target tokenizer ({unknown}, {end}, {start}) have other ids in the source "
            "tokenizer; MarianTokenizer needs the same for both"
        )
    return {
        "tokenizer_class": "MarianTokenizer",
        "unk_token": unknown,
        "eos_token": end,
        # There is no padding piece; the attention mask tells what is padding.
        "pad_token": start,
        "model_max_length": bundle.config.model.max_positions,
        "source_lang": data.source_language,
        "target_lang": data.target_language,
        "separate_vocabs": not bundle.tokenizers.joint,
        # Text that looks like a special token is text.
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
    }


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
