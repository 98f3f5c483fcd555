"""The tokenizers of a run as the files of `transformers`' MarianTokenizer."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translator.checkpoints import Bundle
from translator.errors import TokenizerError
from translator.text import Tokenizer, TokenizerPair

SOURCE_SPM, TARGET_SPM = "source.spm", "target.spm"
VOCABULARY, TARGET_VOCABULARY = "vocab.json", "target_vocab.json"
_PAD = "<pad>"


@dataclass(frozen=True)
class Padding:
    """The piece that fills up batches, and that every target begins with: its name and its id on both sides."""

    name: str
    index: int


def padding(tokenizers: TokenizerPair) -> Padding:
    """Return `<s>`, or for a decoder that begins with zeros, Marian's `<pad>`, whose embedding is zero.

    Such a piece is added after all others if the vocabularies have none. What is padding in a batch, the attention
    mask tells, whatever fills it.
    """
    source, target = tokenizers.source, tokenizers.target
    if not target.zero_start:
        return Padding(target.pieces([target.bos_id])[0], target.bos_id)
    names = [side.pieces(range(side.vocab_size)) for side in (source, target)]
    if all(_PAD in pieces for pieces in names) and names[0].index(_PAD) == names[1].index(_PAD):
        return Padding(_PAD, names[0].index(_PAD))
    return Padding(_PAD, max(tokenizers.sizes))


def write_tokenizer(bundle: Bundle, directory: Path) -> None:
    """Write everything that `AutoTokenizer` needs into a directory that exists.

    Raises `TokenizerError` if two pieces would have the same name in the vocabulary.
    """
    tokenizers = bundle.tokenizers
    source, target, pad = tokenizers.source, tokenizers.target, padding(tokenizers)
    (directory / SOURCE_SPM).write_bytes(source.model)
    (directory / TARGET_SPM).write_bytes(target.model)
    _write_json(directory / VOCABULARY, _vocabulary(source, pad, "source"))
    if not tokenizers.share_ids:
        _write_json(directory / TARGET_VOCABULARY, _vocabulary(target, pad, "target"))
    _write_json(directory / "tokenizer_config.json", _tokenizer_config(bundle, pad))


def marian_tag(language: str) -> str:
    """Return the tag of a target language as Marian's models write it at the beginning of a source line."""
    return f">>{language}<<"


def _vocabulary(tokenizer: Tokenizer, pad: Padding, side: str) -> dict[str, int]:
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
    if vocabulary.setdefault(pad.name, pad.index) != pad.index:
        raise TokenizerError(
            f"the {side} tokenizer has {pad.name} with the id {vocabulary[pad.name]}, expected {pad.index}, as on the "
            "other side; MarianTokenizer needs the same id for both"
        )
    return vocabulary


def _tokenizer_config(bundle: Bundle, pad: Padding) -> dict[str, Any]:
    source, target, data = bundle.tokenizers.source, bundle.tokenizers.target, bundle.config.data
    unknown, end = target.pieces([target.unk_id, target.eos_id])
    if (source.unk_id, source.eos_id, source.pieces([source.unk_id, source.eos_id])) != (
        target.unk_id,
        target.eos_id,
        [unknown, end],
    ):
        raise TokenizerError(
            f"the special tokens {unknown} and {end} of the target tokenizer have other ids or names in the source "
            "tokenizer; MarianTokenizer needs the same for both; use --to ctranslate2 instead"
        )
    return {
        "tokenizer_class": "MarianTokenizer",
        "unk_token": unknown,
        "eos_token": end,
        "pad_token": pad.name,
        "model_max_length": bundle.config.model.max_positions,
        "source_lang": data.source_language,
        "target_lang": data.target_language,
        "separate_vocabs": not bundle.tokenizers.share_ids,
        # Text that looks like a special token is text.
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
    }


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
