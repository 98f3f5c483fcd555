"""A run that is ready to translate: the front door of decoding for Python and for every command.

translator = Translator.load("runs/en-de")
print(*translator.translate(["A dog runs."], beam_size=5))
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from translator.config import DecodingSettings
from translator.config.overrides import replace_stated, settings_from
from translator.decoding.constraints.automata import TokenBytes
from translator.decoding.engine import Engine, NativeEngine
from translator.decoding.ensemble import check_ensemble, join_step_models
from translator.errors import ConfigError
from translator.runtime.memory import keep_freed_memory
from translator.text import choose_tag
from translator.text.input_lines import blocks_of
from translator.translation.aligned_text import Linker
from translator.translation.line_translator import LineTranslator
from translator.translation.result import TranslatedLine

if TYPE_CHECKING:
    from translator.checkpoints import Bundle
    from translator.text import Tokenizer

ENGINES = ("native", "ctranslate2")


class Translator:
    """Translates lines with a run or an ensemble of runs; several threads may use one."""

    def __init__(self, bundles: "Bundle | Sequence[Bundle]", engine: str = "native") -> None:
        """`bundles` is a loaded run, or several with one vocabulary; the settings are the first one's.

        Raises `ConfigError` for runs that do not go together, and for an engine that cannot take them.
        """
        self.bundles = tuple(bundles) if isinstance(bundles, Sequence) else (bundles,)
        check_ensemble(self.bundles)
        if engine not in ENGINES:
            raise ConfigError([f"engine: found {engine!r}, expected {' or '.join(ENGINES)}"])
        if engine != "native" and len(self.bundles) > 1:
            raise ConfigError([f"with: the engine {engine} takes one run; use the native engine for an ensemble"])
        self.engine = engine
        self._engines: dict[str, Engine] = {}
        self._linkers: dict[tuple[Any, ...], Linker] = {}
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        run: str | Path,
        *,
        together_with: Sequence[str | Path] = (),
        engine: str = "native",
        weights: str | None = None,
        **machine: Any,
    ) -> "Translator":
        """Load a run directory, and others for an ensemble.

        `weights` names those of the first run; `device`, `precision` and `threads` are as in `load_bundle`.
        """
        from translator.checkpoints import load_bundle

        bundles = [load_bundle(run, weights=weights, **machine)]
        bundles += [load_bundle(other, **machine) for other in together_with]
        return cls(bundles, engine)

    @property
    def bundle(self) -> "Bundle":
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
        translate into, for a run with language tags. `on_progress` hears how many lines were finished since the last
        call. Raises `ConfigError` at once where settings are wrong.
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

    def engine_for(self, settings: DecodingSettings) -> Engine:
        """Return the engine that computes as `settings.quantize` says; it is made once."""
        with self._lock:
            if settings.quantize not in self._engines:
                self._engines[settings.quantize] = self._make_engine(settings.quantize)
            return self._engines[settings.quantize]

    def _make_engine(self, quantize: str) -> Engine:
        if self.engine == "ctranslate2":
            from translator.interop.ctranslate2.engine import CTranslate2Engine

            return CTranslate2Engine.of(self.bundle, quantize=quantize)
        steps = join_step_models(self.bundles, quantize)
        on_cpu = self.bundle.machine.device.type == "cpu"
        if on_cpu:
            keep_freed_memory()
        workers = torch.get_num_threads() if on_cpu else 1
        return NativeEngine(steps, _surfaces(self.bundle.tokenizers.target), workers)

    def _linker(self, settings: DecodingSettings, tag: int | None) -> Linker:
        key = (settings.alignment, tag, settings.replace_unknown)
        with self._lock:
            if key not in self._linkers:
                self._linkers[key] = Linker(self.bundle, *key)
            return self._linkers[key]


def _surfaces(tokenizer: "Tokenizer") -> TokenBytes:
    """Return what the pieces of a vocabulary spell; marks and language tags spell nothing."""
    silent = [tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id, *tokenizer.tags.values()]
    return TokenBytes(tokenizer.pieces(range(tokenizer.vocab_size)), silent)
