"""A run that is served: which directions it translates, what is known about it, and the thread that translates."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from translator.config import DecodingSettings
from translator.config.overrides import replace_stated, settings_from
from translator.errors import ConfigError, EvaluationError
from translator.evaluation.evaluate import read_scores
from translator.interop.card import describe_run, languages_of, scores_of
from translator.model import count_parameters
from translator.runtime.console import warn
from translator.serving.batcher import BATCH_LINES, Batcher, Line
from translator.serving.metrics import Metrics
from translator.serving.options import ServerOptions
from translator.text.languages import read_direction, same_language
from translator.translation import Glossary, TranslatedLine, Translator

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
        direction, _, path = run.partition("=")
        stated = read_direction(direction) if path and not Path(run).exists() else None
        self.run = Path(path if stated else run)
        self._metrics = metrics
        self.translator = Translator.load(self.run, engine=options.engine, **options.machine)
        self.settings = replace_stated(self.translator.settings, settings_from(dict(options.settings)))
        # Checking settings takes a millisecond. Limits bound how many of them there are.
        self._settings_for = cache(self._replaced_settings)
        self.has_tags = self.translator.bundle.config.data.language_tags
        source, targets = languages_of(self.translator.bundle)
        if stated:
            source, targets = stated[0], self._stated_targets(stated[1], targets)
        if source is None or not targets:
            raise ConfigError(
                [f"run: {self.run} does not say which languages it translates; write SOURCE-TARGET={self.run}, "
                 f"such as en-de={self.run}"]
            )  # fmt: skip
        self.source, self.targets = source, targets
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

    def _stated_targets(self, stated: str, targets: list[str]) -> list[str]:
        """Return the targets of a run whose direction is stated: that one, or all that it has tags for."""
        if not self.has_tags:
            return [stated]
        if not any(same_language(stated, own) for own in targets):
            raise ConfigError([f"run: {self.run} translates into {', '.join(targets)}, and not into {stated}"])
        return targets

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


def _plain(line: str) -> str:
    """Return an item of a Markdown list as text."""
    return line.removeprefix("* ").replace("`", "")
