"""Which language a text is in, among those that are served: py3langid, by frequent sequences of bytes.

Its model has 97 languages in less than 5 MB; detectors that are better on single words need a hundred times as much.
"""

import threading
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from translator.text.languages import language_code

_CHARACTERS = 2_000
"""As much of a text decides."""


class Detected(NamedTuple):
    """A language that a text may be in."""

    language: str
    confidence: float
    """0 to 100: the probability, given that the text is in one of the languages that were asked about."""


class Detector:
    """Ranks languages; several threads may use one."""

    def __init__(self, languages: Sequence[str]) -> None:
        """`languages` are codes as the server has them; those that the library does not know get confidence 0."""
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        self._languages = list(dict.fromkeys(languages))
        self._lock = threading.Lock()
        self._identifier: Any = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        known = set(self._identifier.labels)
        self._codes = {code: language_code(code) or code for code in self._languages}
        self._known = sorted({code for code in self._codes.values() if code in known})
        if self._known:
            self._identifier.set_languages(self._known)

    def rank(self, text: str, among: Collection[str] | None = None) -> list[Detected]:
        """Return the languages, most probable first; `among` restricts them."""
        asked = [code for code in self._languages if among is None or code in among]
        shares: dict[str, float] = {}
        if self._known and any(character.isalpha() for character in text):
            with self._lock:
                shares = {code: float(share) for code, share in self._identifier.rank(text[:_CHARACTERS])}
        shares = {code: shares.get(self._codes[code], 0.0) for code in asked}
        total = sum(shares.values())
        found = [Detected(code, round(100 * share / total, 1) if total else 0.0) for code, share in shares.items()]
        return sorted(found, key=lambda own: -own.confidence)
