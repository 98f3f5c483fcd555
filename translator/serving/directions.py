"""Which model translates a text: by its languages, of which the source may have to be detected."""

from collections.abc import Sequence

from translator.serving.detection import Detected, Detector
from translator.serving.models import Models, ServedModel
from translator.serving.refusals import RequestError
from translator.text.languages import same_language


class Directions:
    """The directions of a server."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self.detector = Detector(models.codes())

    def find(self, text: str, source: str, target: str) -> tuple[ServedModel | None, Detected]:
        """Return the model for a text, None if it is in the target language already, and the source language."""
        known = self._models.codes()
        if not _is_among(target, known):
            raise RequestError(400, f"{target[:40]} is not supported; expected one of {', '.join(known)}")
        detected = Detected(source, 100.0)
        if source == "auto":
            among = [*self._models.sources_of(target), *(own for own in known if same_language(own, target))]
            detected = self.detector.rank(text, among)[0]
        elif not _is_among(source, known):
            raise RequestError(400, f"{source[:40]} is not supported; expected auto or one of {', '.join(known)}")
        model = self._models.find(detected.language, target)
        if model is None and not same_language(detected.language, target):
            raise RequestError(400, f"{target[:40]} is not available as a target language from {source[:40]}")
        return model, detected

    def target_of(self, model: ServedModel, target: str) -> str:
        """Return the code of a target language as the model has it."""
        return next((own for own in model.targets if own == target), None) or next(
            own for own in model.targets if same_language(own, target)
        )


def _is_among(code: str, languages: Sequence[str]) -> bool:
    return code in languages or any(same_language(own, code) for own in languages)
