"""Which model translates a text: by its languages, of which the source may have to be detected."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from translator.serving.detection import Detected, Detector
from translator.serving.refusals import RequestError
from translator.serving.served_model import ServedModel
from translator.text.languages import language_name, same_language


class Direction(NamedTuple):
    """A model, and the target language as it calls it."""

    model: ServedModel
    target: str


class Directions:
    """The directions of loaded models. Codes of a request may leave out script and region, or have more than ours."""

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self.models = models
        self.codes = sorted({code for model in models for code in (model.source, *model.targets)})
        self.detector = Detector(self.codes)
        self._all = [Direction(model, target) for model in models for target in model.targets]

    def find(self, text: str, source: str, target: str) -> tuple[Direction | None, Detected]:
        """Return the direction for a text, None if it is in the target language already, and the source language.

        Raises `RequestError` if there is none, or for a language that is not served.
        """
        self._check_served(target)
        detected = Detected(source, 100.0)
        if source == "auto":
            among = set(self.sources_of(target))
            among |= {code for code in self.codes if same_language(target, code)}
            detected = self.detector.rank(text, among)[0]
        else:
            self._check_served(source, "auto or ")
        found = self._closest(detected.language, target)
        if found is None and not same_language(detected.language, target):
            raise RequestError(400, f"{target[:40]} is not available as a target language from {source[:40]}")
        return found, detected

    def sources_of(self, target: str) -> list[str]:
        """Return the languages that can be translated into `target`."""
        return [own.model.source for own in self._all if same_language(target, own.target)]

    def _check_served(self, code: str, expected: str = "") -> None:
        if code not in self.codes and not any(same_language(code, own) for own in self.codes):
            raise RequestError(
                400, f"{code[:40]} is not supported; expected {expected}one of {', '.join(self.codes)}"
            )  # fmt: skip

    def _closest(self, source: str, target: str) -> Direction | None:
        """Return a direction with these codes, or one with the same languages."""
        exact = [own for own in self._all if own.target == target and own.model.source == source]
        same = exact or [
            own for own in self._all if same_language(target, own.target) and same_language(source, own.model.source)
        ]
        return min(same, key=lambda own: (own.target != target, own.model.source != source), default=None)

    def languages(self) -> list[dict[str, Any]]:
        """Return all languages with what each can be translated into."""
        targets: dict[str, set[str]] = {code: set() for code in self.codes}
        for model, target in self._all:
            targets[model.source].add(target)
        return [{"code": code, "name": language_name(code), "targets": sorted(own)} for code, own in targets.items()]
