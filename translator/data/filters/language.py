"""Pairs with a side in another language, by py3langid, which `translator serve` uses as well.

It needs less than 5 MB and nothing but NumPy, and judges 18,000 sentences a second. Lingua is better on single words,
which are too short to be dropped here, and needs a hundred times as much.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from translator.data.filters.pair_filter import Pair
from translator.errors import DataError
from translator.text.corpus import Languages
from translator.text.languages import language_code

_SURE = 0.8
"""Probability of another language above which a side is dropped. Of German sentences, short names of places and of
programs come out as Luxembourgish or Danish, with probabilities below 0.6."""
_CHARACTERS = 2_000
"""As much of a text decides."""


class LanguageFilter:
    """Drops pairs with a side that is in another language than it should be, with a probability above 0.8."""

    reason = "language"

    def __init__(self, languages: Languages) -> None:
        """`languages` are those of source and target; raise `DataError` if one is not known or py3langid is missing."""
        try:
            from py3langid.langid import MODEL_FILE, LanguageIdentifier
        except ImportError:
            raise DataError(
                "data.drop_other_languages needs the library py3langid; install it (`pip install "
                "'translator-nmt[filters]'`), or leave the setting out"
            ) from None
        self._identifier: Any = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        known = set(self._identifier.labels)
        self._expected: list[str] = []
        for language in languages:
            code = language_code(language or "")
            if code is None or code not in known:
                raise DataError(
                    f"data.drop_other_languages: py3langid does not know the language {language or '(unknown)'}; set "
                    f"source_language and target_language to two of {', '.join(sorted(known))}, or leave "
                    "data.drop_other_languages out"
                )
            self._expected.append(code)

    def drops(self, pairs: Sequence[Pair], indices: np.ndarray) -> np.ndarray:
        """Return which pairs are dropped, as `Filter.drops`."""
        return np.fromiter((self._is_bad(pair) for pair in pairs), bool, len(pairs))

    def _is_bad(self, pair: Pair) -> bool:
        return any(self._is_other(text, code) for text, code in zip(pair, self._expected, strict=True))

    def _is_other(self, text: str, expected: str) -> bool:
        language, probability = self._identifier.classify(text[:_CHARACTERS])
        return bool(language != expected and probability > _SURE)
