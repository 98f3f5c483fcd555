"""A run that is ready to translate: the front door of decoding for Python and for every command.

translator = Translator.load("runs/en-de")
print(*translator.translate(["A dog runs."], beam_size=5))
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from translator.checkpoints import Bundle, load_bundle
from translator.config import DecodingSettings
from translator.config.overrides import replace_stated, settings_from
from translator.decoding.engine import Engine
from translator.decoding.ensemble import check_ensemble
from translator.text import choose_tag
from translator.text.input_lines import blocks_of
from translator.translation.aligned_text import Linker
from translator.translation.engine_choice import AUTO, EngineChoice
from translator.translation.line_translator import LineTranslator
from translator.translation.result import TranslatedLine


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
        lines: Iterable[str],
        *,
        to: str | None = None,
        window: int | None = None,
        on_progress: Callable[[int], None] | None = None,
        **settings: Any,
    ) -> Iterator[str]:
        """Translate every line; yield as many lines, in order, none of which holds a `\\n`.

        `settings` are those of decoding (`translator config schema`), such as `beam_size=4`. Lines are read `window` at
        a time and come back when all of them are translated; by default the windows grow. `to` is the language to
        translate into, for a run with language tags. `on_progress` is called with the number of lines finished
        since the last call. Raises `ConfigError` at once if settings are wrong.
        """
        replaced = replace_stated(self.settings, settings_from(settings))
        translated = self.translate_blocks(blocks_of(lines, window), replaced, to=to, on_progress=on_progress)
        return (line.text for line in translated)

    def translate_in_detail(
        self,
        lines: Iterable[str],
        *,
        to: str | None = None,
        window: int | None = None,
        on_progress: Callable[[int], None] | None = None,
        **settings: Any,
    ) -> Iterator[TranslatedLine]:
        """As `translate`, with all `n_best` translations of a line, their scores, pieces and alignments."""
        replaced = replace_stated(self.settings, settings_from(settings))
        return self.translate_blocks(
            blocks_of(lines, window), replaced, to=to, with_scores=True, with_alignment=True, on_progress=on_progress
        )

    def translate_blocks(
        self,
        blocks: Iterable[Sequence[str]],
        settings: DecodingSettings,
        *,
        to: str | None = None,
        engine: Engine | None = None,
        with_scores: bool = False,
        with_alignment: bool = False,
        on_progress: Callable[[int], None] | None = None,
    ) -> Iterator[TranslatedLine]:
        """Translate lines that are grouped already, under settings that are complete; see `LineTranslator`.

        `engine` stands in for the one of `engine_for`.
        """
        data = self.bundle.config.data
        tag = choose_tag(self.bundle.tokenizers.source, data.language_tags, to, str(self.bundle.directory))
        translate = LineTranslator(
            engine or self.engine_for(settings),
            self.bundle.tokenizers,
            settings,
            tag=tag,
            language=to or data.target_language,
            longest_part=data.max_length,
            linker=self._linker(settings, tag) if with_alignment or settings.replace_unknown else None,
            with_scores=with_scores,
            with_alignment=with_alignment,
        )
        return translate(blocks, on_progress)

    def _linker(self, settings: DecodingSettings, tag: int | None) -> Linker:
        key = (settings.alignment, tag, settings.replace_unknown)
        with self._lock:
            if key not in self._linkers:
                self._linkers[key] = Linker(self.bundle, *key)
            return self._linkers[key]
