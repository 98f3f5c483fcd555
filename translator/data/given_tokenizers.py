"""Tokenizers that are given and not trained: those of a run, or of model files."""

from dataclasses import dataclass
from pathlib import Path

from translator.config import parse_start
from translator.errors import TokenizerError
from translator.text import TokenizerPair, load_given_tokenizers, load_tokenizers, tag_symbol


@dataclass(frozen=True)
class Begun:
    """What data that are prepared for a run with weights must agree with."""

    run: Path
    """The run directory."""
    vocabulary: TokenizerPair
    """Its tokenizers, which are used instead of training some."""
    train_digest: str | None = None
    """The training pairs that it was begun with (`PreparedData.train_digest`); None if that is not known."""


def given_tokenizers(
    start_from: str | None, model: str | list[str] | None, begun: Begun | None
) -> tuple[TokenizerPair | None, str | None]:
    """Load the tokenizers that are not trained here, those of a run or of model files; return them and their name."""
    named = model if isinstance(model, str) or model is None else " and ".join(model)
    if begun is not None:
        return begun.vocabulary, start_from or named or str(begun.run)
    if start_from is not None:
        return load_tokenizers(parse_start(start_from).run), start_from
    if model is not None:
        return load_given_tokenizers(model), named
    return None, None


def require_tags(given: TokenizerPair, languages: list[str], start_from: str | None, named: str | None) -> None:
    """Raise `TokenizerError` if given tokenizers lack the tag of one of the target `languages`."""
    tags = given.source.tags
    missing = [tag_symbol(language) for language in languages if language not in tags]
    if not missing:
        return
    if start_from is not None:
        name = f"start_from: the vocabulary of {parse_start(start_from).run}"
        remedy = "add it with tokenizer.extend, start from a run that has it, or leave the corpora of this language out"
    else:
        name = f"tokenizer.model: {named}"
        remedy = "leave tokenizer.model out, or make the file with `spm_train --control_symbols=` and these tags"
    found = ", ".join(map(tag_symbol, tags)) or "none"
    raise TokenizerError(
        f"{name} has no language tag {', '.join(missing)} (found: {found}), which data.language_tags needs; {remedy}"
    )
