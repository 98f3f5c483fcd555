"""The runs of a server: which directions they translate, what is known about them, and replacing them while it runs."""

import gc
import re
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from translator.config import DecodingSettings
from translator.config.overrides import replace_stated, settings_from
from translator.errors import ConfigError, EvaluationError, TranslatorError
from translator.evaluation.evaluate import read_scores
from translator.interop.card import describe_run, languages_of, scores_of
from translator.model import count_parameters
from translator.runtime.console import say, warn
from translator.serving.batcher import BATCH_LINES, Batcher, Line
from translator.serving.metrics import Metrics
from translator.serving.options import ServerOptions
from translator.text.languages import language_code, language_name
from translator.translation import Glossary, TranslatedLine, Translator

_STATED = re.compile(r"([A-Za-z]{2,3}(?:[-_][A-Za-z0-9]+)*?)-([A-Za-z]{2,3}(?:_[A-Za-z0-9]+)*)=(.+)")
_WARM_UP = "1"


class LineOptions(NamedTuple):
    """How lines are translated; lines whose options are equal share batches."""

    to: str | None = None
    n_best: int = 1
    is_segment: bool = False
    """Whether lines are segments of a text with markup or protected strings, which `texts.py` took apart."""
    with_alignment: bool = False
    with_scores: bool = False
    glossary: tuple[tuple[str, str], ...] = ()


class ServedModel:
    """A loaded run with the thread that translates with it."""

    def __init__(self, run: str, options: ServerOptions, metrics: Metrics) -> None:
        """Load a run and translate a line, so that the first request finds everything loaded."""
        stated = _STATED.fullmatch(run) if not Path(run).exists() else None
        self.run = Path(stated[3] if stated else run)
        self._metrics = metrics
        self.translator = Translator.load(self.run, engine=options.engine, **options.machine)
        self.settings = replace_stated(self.translator.settings, settings_from(dict(options.settings)))
        # Checking settings takes a millisecond. Limits bound how many of them there are.
        self._settings_for = cache(self._replaced_settings)
        source, targets = languages_of(self.translator.bundle)
        if stated:
            source, targets = stated[1], targets or [stated[2]]
        if source is None or not targets:
            raise ConfigError(
                [f"run: {self.run} does not say which languages it translates; write SOURCE-TARGET={self.run}, "
                 f"such as en-de={self.run}"]
            )  # fmt: skip
        self.source, self.targets = source, targets
        self.has_tags = self.translator.bundle.config.data.language_tags
        limits = options.limits
        self.translate_lines([_WARM_UP], LineOptions(self._to(self.targets[0])))
        self.batcher = Batcher(
            self.translate_lines,
            window=options.window_milliseconds / 1000,
            queue_characters=limits.queue_characters,
            batch_lines=BATCH_LINES[self.translator.bundle.machine.device.type],
            name=self.run.name,
        )
        self.information = self._information()

    def options(self, target: str, **options: Any) -> LineOptions:
        """Return options for lines into one of `targets`."""
        return LineOptions(self._to(target), **options)

    def _to(self, target: str) -> str | None:
        return target if self.has_tags else None

    def translate_lines(self, lines: Sequence[Line], options: LineOptions) -> list[TranslatedLine]:
        """Translate lines together and count them; called by the thread of the batcher."""
        translated = list(
            self.translator.translate_blocks(
                [lines],
                self._settings_for(options.n_best, options.is_segment),
                to=options.to,
                glossary=Glossary(dict(options.glossary)) if options.glossary else None,
                with_scores=options.with_scores,
                with_alignment=options.with_alignment,
            )
        )
        texts = [line if isinstance(line, str) else line.text for line in lines]
        tokens = sum(map(len, self.translator.bundle.tokenizers.source.encode(texts)))
        self._metrics.count_batch(len(lines), tokens)
        return translated

    def _replaced_settings(self, n_best: int, is_segment: bool) -> DecodingSettings:
        replaced: dict[str, Any] = {}
        if n_best > 1:
            replaced = {"n_best": n_best, "beam_size": max(self.settings.beam_size, n_best)}
        if is_segment:
            # Protected strings are in the segment already, and each sentence of a document is translated on its own.
            replaced |= {"protect": [], "split_above": 0}
        return replace_stated(self.settings, settings_from(replaced))

    def _information(self) -> dict[str, Any]:
        """What the model is, for people."""
        bundle = self.translator.bundle
        try:
            scores = scores_of(read_scores(self.run), bundle.weights)
        except EvaluationError as error:
            warn(str(error))
            scores = []
        shape, data_lines = describe_run(bundle), []
        shape, data_lines = shape[:2], shape[2:]
        return {
            "name": self.run.resolve().name,
            "source": self.source,
            "targets": self.targets,
            "parameters": count_parameters(bundle.model),
            "weights": bundle.weights,
            "step": bundle.step,
            "digest": bundle.digest,
            "engine": self.translator.engine_for(self.settings).name,
            "description": [_plain(line) for line in shape],
            "training_data": [_plain(line) for line in data_lines],
            "scores": [score._asdict() for score in scores],
        }


class Models:
    """The models of a server by direction; replaced as a whole, so that a request never sees half of them."""

    def __init__(self, options: ServerOptions, metrics: Metrics) -> None:
        """Load all runs; raises what loading them raises, and `ConfigError` if two have the same direction."""
        self._options, self._metrics = options, metrics
        self._reloading = threading.Lock()
        self.models = self._load()
        _spare_collections()

    def _load(self) -> list[ServedModel]:
        loaded: list[ServedModel] = []
        taken: dict[tuple[str, str], Path] = {}
        try:
            for run in self._options.runs:
                model = ServedModel(run, self._options, self._metrics)
                loaded.append(model)
                for target in model.targets:
                    other = taken.setdefault((model.source, target), model.run)
                    if other is not model.run:
                        raise ConfigError(
                            [f"run: {other} and {model.run} both translate from {model.source} into {target}; leave "
                             "one out"]
                        )  # fmt: skip
        except BaseException:
            for model in loaded:
                model.batcher.stop()
            raise
        return loaded

    def find(self, source: str, target: str) -> ServedModel | None:
        """Return the model for a direction; codes may differ in script, region and case (`DE`, `de-AT`)."""
        pairs = [(model, model.source, own) for model in self.models for own in model.targets]
        for same in (str.__eq__, _alike):
            for model, own_source, own_target in pairs:
                if same(own_source, source) and same(own_target, target):
                    return model
        return None

    def sources_of(self, target: str) -> list[str]:
        """Return the languages that can be translated into `target`."""
        return [model.source for model in self.models if any(_alike(own, target) for own in model.targets)]

    def codes(self) -> list[str]:
        """Return all languages, sources and targets, in order."""
        return sorted({code for model in self.models for code in (model.source, *model.targets)})

    def languages(self) -> list[dict[str, Any]]:
        """Return all languages with what each can be translated into."""
        targets: dict[str, list[str]] = {code: [] for code in self.codes()}
        for model in self.models:
            targets[model.source] += model.targets
        return [
            {"code": code, "name": language_name(code), "targets": sorted(set(own))} for code, own in targets.items()
        ]

    def reload(self) -> list[str]:
        """Load all runs again and take them up; return the names of those that changed.

        If one cannot be loaded, all stay as they are and its error is raised.
        """
        with self._reloading:
            try:
                loaded = self._load()
            except TranslatorError:
                self._metrics.count_reload(successful=False)
                raise
            digests = {model.information["digest"] for model in self.models}
            changed = [model.run.name for model in loaded if model.information["digest"] not in digests]
            old, self.models = self.models, loaded
            # Requests that have found an old model and not queued their lines yet try again with the new one.
            for model in old:
                model.batcher.stop()
            del old, model
            _spare_collections()
            self._metrics.count_reload(successful=True)
            say(f"reloaded; changed: {', '.join(changed) or 'nothing'}")
            return changed

    def stop(self) -> None:
        """Let all threads end after what is queued."""
        for model in self.models:
            model.batcher.stop()


def _spare_collections() -> None:
    """Let the garbage collector pass over all objects that exist now, and delete what it finds before.

    There are half a million of them, which live as long as the models. Looking at each again and again took a third of
    the CPU time of the thread that reads requests and writes answers (with the 0.85 M sample model and 64 clients).
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _alike(first: str, second: str) -> bool:
    return first == second or (language_code(first) or first) == (language_code(second) or second)


def _plain(line: str) -> str:
    """Return an item of a Markdown list as text."""
    return line.removeprefix("* ").replace("`", "")
