"""Language tags: the first source piece of a many-to-many model says which language to translate into."""

from collections.abc import Sequence

from translator.errors import ConfigError
from translator.text.tokenizer import Tokenizer


def tag_symbol(language: str) -> str:
    """Return the tag of a language as it is written in the vocabulary, such as `<2de>`."""
    return f"<2{language}>"


def choose_tag(tokenizer: Tokenizer, tagged: bool, to: str | None, model: str) -> int | None:
    """Return the id of the tag for the language `to`; None for a model without tags.

    `tagged` is the setting `data.language_tags` of the run, and `model` its name in messages. Raises
    `ConfigError` if the language is missing or unknown, or if one is given for a model without tags.
    """
    if not tagged:
        if to is not None:
            raise ConfigError([f"to: found {to!r}, but {model} has one target language only; leave it out"])
        return None
    languages = ", ".join(tokenizer.tags)
    if to is None:
        raise ConfigError([f"to: {model} translates into several languages; choose one of {languages} (--to LANGUAGE)"])
    if to not in tokenizer.tags:
        raise ConfigError([f"to: {model} does not translate into {to!r}; choose one of {languages}"])
    return tokenizer.tags[to]


def with_tag(sources: Sequence[list[int]], tag: int | None) -> list[list[int]]:
    """Put the tag before every source that has pieces; a blank one stays blank."""
    return [[tag, *source] if source and tag is not None else source for source in sources]
