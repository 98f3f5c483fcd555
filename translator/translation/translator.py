"""A run that is ready to translate: the front door of decoding for Python and for every command.

translator = Translator.load("runs/en-de")
print(*translator.translate(["A dog runs."], beam_size=5))
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from translator.checkpoints import Bundle, load_bundle
from translator.config import DecodingSettings
from translator.config.decoding_rules import decoding_mistakes
from translator.config.overrides import replace_stated, settings_from
from translator.decoding.engine import Engine
from translator.decoding.ensemble import check_ensemble
from translator.errors import ConfigError
from translator.text import choose_tag
from translator.text.input_lines import blocks_of
from translator.translation.aligned_text import Linker
from translator.translation.constrained_line import ConstrainedLine
from translator.translation.engine_choice import AUTO, EngineChoice
from translator.translation.glossary import Glossary
from translator.translation.line_requests import LineRequests, Target
from translator.translation.line_translator import LineTranslator, with_warnings
from translator.translation.markup import MARKUPS, Marking, translate_marked
from translator.translation.result import TranslatedLine
from translator.translation.usual_length import usual_source_length

Line = str | ConstrainedLine


class Translator:
    """Translates lines with a run or an ensemble of runs; several threads may use one."""

    def __init__(self, bundles: Bundle | Sequence[Bundle], engine: str = AUTO) -> None:
        """`bundles` is a loaded run, or several with one vocabulary; the settings are those of the first.

        `engine` is one of `ENGINES`. Raises `ConfigError` for runs that do not go together, and for an engine that
        cannot take them.
        """
        self.bundles = tuple(bundles) if isinstance(bundles, Sequence) else (bundles,)
        check_ensemble(self.bundles)
        self.engine_for = EngineChoice(self.bundles, engine)
        """Returns the engine for the settings of a call."""
        self._usual_sources: dict[int | str, int] = {}
        self._linkers: dict[tuple[Any, ...], Linker] = {}
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        run: str | Path,
        *,
        together_with: Sequence[str | Path] = (),
        engine: str = AUTO,
        weights: str | None = None,
        **machine: Any,
    ) -> "Translator":
        """Load a run directory, and others for an ensemble.

        `weights` names those of the first run; `device`, `precision` and `threads` are as in `load_bundle`.
        """
        bundles = [load_bundle(run, weights=weights, **machine)]
        bundles += [load_bundle(other, **machine) for other in together_with]
        return cls(bundles, engine)

    @property
    def bundle(self) -> Bundle:
        """The first run."""
        return self.bundles[0]

    @property
    def settings(self) -> DecodingSettings:
        """The settings of decoding that the run was trained with."""
        return self.bundle.config.decoding

    def translate(
        self,
        lines: Iterable[Line],
        *,
        to: str | None = None,
        glossary: Glossary | Mapping[str, str] | str | Path | None = None,
        markup: str = "none",
        window: int | None = None,
        on_progress: Callable[[int], None] | None = None,
        **settings: Any,
    ) -> Iterator[str]:
        """Translate every line; yield as many lines, in order, none of which holds a `\\n`.

        `settings` are those of decoding (`translator config schema`), such as `beam_size=4`. Lines are read `window` at
        a time and come back when all of them are translated; by default the windows grow. `to` is the language to
        translate into, for a run with language tags. `on_progress` is called with the number of lines finished
        since the last call. A line may be a `ConstrainedLine`. `glossary` is a `Glossary`, a mapping of source terms to
        target terms, or a file of them. `markup` is `none`, `html` or `xml`, whose tags are kept. Raises
        `ConfigError` at once if settings are wrong.
        """
        translated = self._translate(lines, window, settings, to, glossary, markup=markup, on_progress=on_progress)
        return (line.text for line in translated)

    def translate_in_detail(
        self,
        lines: Iterable[Line],
        *,
        to: str | None = None,
        glossary: Glossary | Mapping[str, str] | str | Path | None = None,
        markup: str = "none",
        window: int | None = None,
        on_progress: Callable[[int], None] | None = None,
        **settings: Any,
    ) -> Iterator[TranslatedLine]:
        """As `translate`, with all `n_best` translations of a line, their scores, pieces and alignments."""
        return self._translate(
            lines,
            window,
            settings,
            to,
            glossary,
            markup=markup,
            with_scores=True,
            with_alignment=True,
            on_progress=on_progress,
        )

    def _translate(
        self,
        lines: Iterable[Line],
        window: int | None,
        settings: Mapping[str, Any],
        to: str | None,
        glossary: Glossary | Mapping[str, str] | str | Path | None,
        **options: Any,
    ) -> Iterator[TranslatedLine]:
        replaced = replace_stated(self.settings, settings_from(settings))
        if glossary is not None and not isinstance(glossary, Glossary):
            glossary = Glossary(glossary) if isinstance(glossary, Mapping) else Glossary.read(glossary)
        lines_choose = False
        if to is None and self.bundle.config.data.language_tags:
            lines = iter(lines)
            first = list(islice(lines, 1))
            lines_choose = any(isinstance(line, ConstrainedLine) and line.to for line in first)
            lines = chain(first, lines)
        return self.translate_blocks(
            blocks_of(lines, window), replaced, to=to, glossary=glossary, lines_choose=lines_choose, **options
        )

    def translate_blocks(
        self,
        blocks: Iterable[Sequence[Line]],
        settings: DecodingSettings,
        *,
        to: str | None = None,
        glossary: Glossary | None = None,
        lines_choose: bool = False,
        engine: Engine | None = None,
        with_scores: bool = False,
        with_alignment: bool = False,
        markup: str = "none",
        on_progress: Callable[[int], None] | None = None,
        first: int = 1,
    ) -> Iterator[TranslatedLine]:
        """Translate lines that are grouped already, under settings that are complete; see `LineTranslator`.

        `engine` stands in for those of `engine_for`. With `lines_choose` the lines may say for themselves which
        language they are translated into, so that `to` may be missing. `markup` is one of `MARKUPS`. `first` is the
        number of the first line, for warnings.
        """
        if markup not in MARKUPS:
            raise ConfigError([f"markup: found {markup!r}, expected {', '.join(MARKUPS[:-1])} or {MARKUPS[-1]}"])
        marking = Marking(markup, tuple(settings.protect))
        is_marked = marking != Marking()
        data, tokenizers = self.bundle.config.data, self.bundle.tokenizers
        with_linker = with_alignment or is_marked or settings.replace_unknown

        def target_of(own: str | None) -> Target:
            tag = choose_tag(tokenizers.source, data.language_tags, own or to, str(self.bundle.directory))
            return Target(tag, own or to or data.target_language, self._linker(settings, tag) if with_linker else None)

        if to is not None or not lines_choose:
            target_of(None)
        chosen = engine or self.engine_for(settings)
        for_phrases = None if engine is not None else partial(self.engine_for.for_phrases, settings)
        if glossary is not None:
            self._check_glossary(settings, to)
        translate = LineTranslator(
            chosen,
            tokenizers,
            settings,
            target_of=lru_cache(None)(target_of),
            source_language=data.source_language,
            # A text with markup is a document: each of its sentences is translated on its own.
            usual_source=self._usual_source(settings) if markup == "none" else 0,
            longest_part=data.max_length,
            ask=LineRequests(tokenizers.target, settings, chosen, for_phrases, glossary, to),
            with_scores=with_scores,
            with_alignment=with_alignment or is_marked,
        )
        if not is_marked:
            return translate(blocks, on_progress, first)
        return with_warnings(translate_marked(blocks, marking, translate.translate_block, on_progress), first)

    def _usual_source(self, settings: DecodingSettings) -> int:
        with self._lock:
            if settings.split_above not in self._usual_sources:
                self._usual_sources[settings.split_above] = usual_source_length(self.bundle, settings)
            return self._usual_sources[settings.split_above]

    def _check_glossary(self, settings: DecodingSettings, to: str | None) -> None:
        """Raise `ConfigError` if terms cannot be required, or nothing says which language they are in."""
        problems = decoding_mistakes(settings.model_copy(update={"required": ["..."]}))
        if self.bundle.config.data.language_tags and to is None:
            problems.append("to: a glossary is for one language; name it (--to LANGUAGE)")
        if problems:
            raise ConfigError([problem.replace("decoding.required", "glossary", 1) for problem in problems])

    def _linker(self, settings: DecodingSettings, tag: int | None) -> Linker:
        key = (settings.alignment, tag, settings.replace_unknown)
        with self._lock:
            if key not in self._linkers:
                self._linkers[key] = Linker(self.bundle, *key)
            return self._linkers[key]
