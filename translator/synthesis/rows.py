"""The rows of a shard: translated lines as pairs of a training corpus, with their scores."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from translator.checkpoints import Bundle
from translator.config import DecodingSettings
from translator.decoding.batch_tokens import batch_tokens_of
from translator.decoding.scoring import score_pairs
from translator.errors import ConfigError
from translator.inference.steps import TransformerStepModel
from translator.synthesis.lines import Line
from translator.text import choose_tag, with_tag
from translator.text.languages import same_language
from translator.translation.result import TranslatedLine, Translation

_DIGITS = 4
_SPACES = str.maketrans("\t\r\n", "   ")
SCORE, REVERSE_SCORE = "score", "reverse_score"


@dataclass(frozen=True)
class RowWriter:
    """Writes the translations of lines as rows of a table; texts have spaces for tabs and carriage returns."""

    sides: tuple[str, str]
    """Names of the columns of source and target of the corpus."""
    back: bool = False
    """Whether the translations are the source side of the corpus: back-translation."""
    tag: str = ""
    """Text before every translation."""
    nearest: bool = False
    """Whether only that translation of a line is written which is most like the line's reference."""
    scorer: "ReverseScorer | None" = None

    @property
    def columns(self) -> list[str]:
        """The header line. The last column is the score that rows are chosen by."""
        return [*self.sides, SCORE, *([REVERSE_SCORE] if self.scorer is not None else [])]

    def rows(self, lines: Sequence[Line], translated: Sequence[TranslatedLine]) -> Iterator[str]:
        """Yield the rows without line feeds: one for each translation, and one without text for a line that has none.

        Scores are log-probabilities a piece, the end of sentence included.
        """
        pairs = [
            (line.text.translate(_SPACES), own.text.translate(_SPACES), _score(own))
            for line, result in zip(lines, translated, strict=True)
            for own in self._chosen(line, result)
        ]
        reverse: Sequence[str] = [""] * len(pairs)
        if self.scorer is not None:
            reverse = [_shown(score) for score in self.scorer([(own, line) for line, own, _ in pairs])]
        yield "\t".join(self.columns)
        for (line, own, score), other in zip(pairs, reverse, strict=True):
            is_pair = bool(line.strip() and own.strip())
            text = f"{self.tag} {own}" if self.tag and is_pair else own
            scores = [score, other][: len(self.columns) - 2]
            yield "\t".join(
                [*((text, line) if self.back else (line, text)), *(scores if is_pair else [""] * len(scores))]
            )

    def _chosen(self, line: Line, result: TranslatedLine) -> Sequence[Translation]:
        found = result.translations or (Translation(""),)
        if not self.nearest or len(found) == 1 or line.reference is None:
            return found
        from sacrebleu.metrics.chrf import CHRF

        metric, references = CHRF(), [line.reference]
        # `max` takes the first of equals, which the model prefers.
        return [max(found, key=lambda own: metric.sentence_score(own.text, references).score)]


class ReverseScorer:
    """Log-probabilities of lines given their translations, by a model that translates the other way."""

    def __init__(self, bundle: Bundle, settings: DecodingSettings, languages: tuple[str | None, str | None]) -> None:
        """`languages` are those of lines and translations. Raises `ConfigError` if the model is for others."""
        data = bundle.config.data
        own = data.source_language, data.target_language
        known = [(a, b) for a, b in zip(own, languages[::-1], strict=True) if a is not None and b is not None]
        if len(known) == 2 and not data.language_tags and not all(same_language(a, b) for a, b in known):
            raise ConfigError(
                [
                    f"score-with: {bundle.directory} translates {own[0]} to {own[1]}, expected {languages[1]} to "
                    f"{languages[0]}, the other way round"
                ]
            )
        self._bundle, self._batch_tokens = bundle, batch_tokens_of(settings)
        to = languages[0] if data.language_tags else None
        self._tag = choose_tag(bundle.tokenizers.source, data.language_tags, to, str(bundle.directory))

    @cached_property
    def _models(self) -> list[TransformerStepModel]:
        return [TransformerStepModel.of(self._bundle)]

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return the log-probability a piece of every target given its source; NaN if it cannot be computed."""
        tokenizers = self._bundle.tokenizers
        sources = with_tag(tokenizers.source.encode([source for source, _ in pairs]), self._tag)
        targets = tokenizers.target.encode([target for _, target in pairs])
        scored = score_pairs(self._models, sources, targets, batch_tokens=self._batch_tokens)
        return [
            own.log_probability / len(own.log_probabilities) if own is not None and own.log_probabilities else math.nan
            for own in scored
        ]


def _score(own: Translation) -> str:
    return _shown(own.log_probability / (len(own.pieces) + 1))


def _shown(score: float) -> str:
    # Adding 0 turns -0 into 0.
    return f"{round(score, _DIGITS) + 0.0:.{_DIGITS}f}" if math.isfinite(score) else ""
