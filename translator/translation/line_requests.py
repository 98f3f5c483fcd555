"""What an engine is asked for each line: its parts, with all that their translations must and must not contain."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from translator.config import DecodingSettings
from translator.config.decoding_rules import decoding_mistakes
from translator.decoding.engine import Engine
from translator.decoding.hypothesis import Request
from translator.errors import ConfigError
from translator.runtime.console import warn
from translator.runtime.counted import counted
from translator.text import Tokenizer
from translator.translation.aligned_text import Linker
from translator.translation.constrained_line import ConstrainedLine
from translator.translation.glossary import Glossary, Term

_UNSPACED = {"ja", "zh", "yue", "th", "lo", "km", "my", "bo", "dz"}
_BEFORE = "、"
_SHOWN = 5


class Target(NamedTuple):
    """What lines are translated into."""

    tag: int | None = None
    """A piece that every source begins with."""
    language: str | None = None
    """The code of the language."""
    linker: Linker | None = None
    """Finds alignments, if they are wanted."""

    @property
    def is_unspaced(self) -> bool:
        """Whether the language, such as `ja` or `zh-CN`, is written without spaces between its words."""
        code = (self.language or "").replace("_", "-").split("-")[0].lower()
        return code in _UNSPACED


class EngineForPhrases(Protocol):
    """Returns the engine for lines that ban or require text; raises `ConfigError` if there is none."""

    def __call__(self, *, banned: bool, required: bool) -> Engine: ...


class AskedPart(NamedTuple):
    """What is asked for a part of a line."""

    engine: Engine
    request: Request
    terms: tuple[Term, ...]
    """The terms of the glossary that the request requires."""
    without_terms: Request
    """The request without these terms."""


class LineRequests:
    """Makes the requests for lines under one set of settings."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        settings: DecodingSettings,
        engine: Engine,
        engine_for_phrases: EngineForPhrases | None = None,
        glossary: Glossary | None = None,
        glossary_to: str | None = None,
    ) -> None:
        """`tokenizer` is that of the target. Terms that it cannot write are named on stderr and left out.

        Lines that ban or require text of their own go to the engine that `engine_for_phrases` returns, by default to
        `engine` as well. The terms of the glossary are for lines into `glossary_to`.
        """
        self._tokenizer, self._settings, self._engine = tokenizer, settings, engine
        self._engine_for_phrases, self._glossary, self._glossary_to = engine_for_phrases, glossary, glossary_to
        self._encoded = lru_cache(4096)(self._encode)
        self._lost = frozenset(term for term in glossary.terms if not self._can_write(term.target)) if glossary else ()
        if self._lost and glossary:
            shown = ", ".join(map(str, sorted(self._lost)[:_SHOWN])) + (", ..." if len(self._lost) > _SHOWN else "")
            count = f"{len(self._lost):,} of {counted(len(glossary.terms), 'term')}"
            warn(f"{glossary.name}: the vocabulary cannot write {count}, which are left out: {shown}")

    def __call__(
        self, line: ConstrainedLine, target: Target, texts: Sequence[str], parts: Sequence[Sequence[int]]
    ) -> list[AskedPart]:
        """Ask for every part of a line; what it begins with or contains is asked of its first part.

        A term of the glossary is asked of the parts that hold it. Raises `ConfigError` with the line if what it
        asks for cannot be done.
        """
        settings = self._settings
        required = [phrase for phrase in (*settings.required, *line.required) if phrase]
        banned = (*settings.banned, *line.banned)
        if line.has_phrases:
            self._check(line, required, banned)
        prefix = self._encoded(settings.prefix if line.prefix is None else line.prefix, False)
        longest = self._engine.longest_source
        if parts and longest is not None and len(prefix) > longest:
            problem = f"prefix: found {len(prefix):,} pieces, and the model writes at most {longest:,}; shorten it"
            raise ConfigError([problem], line.where or None)
        phrases = tuple(self._encoded(phrase, target.is_unspaced) for phrase in required)
        terms = self._terms(line, texts)
        engine = self._engine
        if parts and self._engine_for_phrases is not None and (line.has_phrases or any(terms)):
            engine = self._engine_for_phrases(banned=bool(banned), required=bool(required or any(terms)))
        asked = []
        for index, (part, own) in enumerate(zip(parts, terms, strict=False)):
            plain = Request(tuple(part), () if index else prefix, banned, () if index else phrases)
            written = tuple([self._encoded(term.target, target.is_unspaced) for term in own])
            asked.append(AskedPart(engine, plain._replace(required=plain.required + written), own, plain))
        return asked

    def _terms(self, line: ConstrainedLine, texts: Sequence[str]) -> list[tuple[Term, ...]]:
        """Return the terms of the glossary in each part of a line; those that are cut in two are asked of the first."""
        if self._glossary is None or line.to not in (None, self._glossary_to):
            return [() for _ in texts]
        found = [self._glossary.find(text) for text in texts]
        if len(texts) > 1:
            whole = {term for own in found for term in own}
            found[0] += [term for term in self._glossary.find(" ".join(texts)) if term not in whole]
        return [tuple([term for term in own if term not in self._lost]) for own in found]

    def _check(self, line: ConstrainedLine, required: Sequence[str], banned: Sequence[str]) -> None:
        """Raise `ConfigError` for phrases that cannot be followed, whatever the text."""
        settings = self._settings.model_copy(update={"required": list(required), "banned": list(banned)})
        problems = [problem.removeprefix("decoding.") for problem in decoding_mistakes(settings)]
        problems += [
            f"required: {phrase!r} has a character that the vocabulary cannot write; leave it out"
            if phrase.strip()
            else "required: found a phrase without text; expected at least one character"
            for phrase in line.required
            if not self._can_write(phrase)
        ]
        if not problems and self._engine_for_phrases is not None:
            try:
                self._engine_for_phrases(banned=bool(banned), required=bool(required))
            except ConfigError as error:
                problems = error.problems
        if problems:
            raise ConfigError(problems, line.where or None)

    def _can_write(self, text: str) -> bool:
        ids = self._encoded(text, False)
        return bool(ids) and self._tokenizer.unk_id not in ids

    def _encode(self, text: str, is_unspaced: bool) -> tuple[int, ...]:
        """Return the pieces of a text, which in languages without spaces need not begin with one."""
        (ids,) = self._tokenizer.encode([text])
        if is_unspaced and ids:
            # A tokenizer puts a space before every text. Here it would be one in the middle of a sentence.
            before, after = self._tokenizer.encode([_BEFORE, _BEFORE + text])
            if after[: len(before)] == before and len(after) > len(before):
                return tuple(after[len(before) :])
        return tuple(ids)


def target_of_line(line: ConstrainedLine, target_of: Callable[[str | None], Target]) -> Target:
    """Return what a line is translated into; a `ConfigError` of `target_of` gets the line."""
    try:
        return target_of(line.to)
    except ConfigError as error:
        raise ConfigError(error.problems, line.where or None) from None


def without_term(term: Term) -> str:
    """Say of a line that its translation lacks a term of the glossary."""
    return (
        f"translated without the glossary's {term}: no translation within the limits of decoding.max_length_factor and "
        "decoding.max_length_extra holds it"
    )
