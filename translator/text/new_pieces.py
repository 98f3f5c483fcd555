"""Which new pieces a vocabulary gets: those that shorten the new text most.

SentencePiece finds the candidates, as for a vocabulary of its own. Their use in the text decides among them.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from typing import Any

import numpy as np

from translator.config.sections import TokenizerSettings
from translator.text.id_mapping import TAG
from translator.text.model_fields import NewPiece, splitting_options, user_defined_pieces, with_pieces
from translator.text.segmentation import Segmenter
from translator.text.tokenizer import Tokenizer
from translator.text.tokenizer_training import explained_error, run_sentencepiece

_SPACE = "\u2581"
_BATCH_LINES = 1000


@dataclass(frozen=True)
class Side:
    """A tokenizer to extend, and the text for it."""

    tokenizer: Tokenizer
    lines: Callable[[], Iterator[str]]

    def known(self) -> set[str]:
        """All pieces of the SentencePiece model and of the vocabulary."""
        own = self.tokenizer.vocabulary
        return {*_names(_processor(self.tokenizer.model)), *(own.pieces if own is not None else ())}


@dataclass(frozen=True)
class Candidate:
    """A piece that the text has and a vocabulary lacks."""

    name: str
    score: float
    """A log-probability; for `bpe`, what is to be added to the least score of the model, so that old merges come
    first."""


def normalized(tokenizer: Tokenizer, sample: Callable[[], Iterator[str]]) -> Callable[[], Iterator[str]]:
    """Return the lines as the tokenizer sees them, so that training needs no rule."""
    processor = _processor(tokenizer.model)

    def lines() -> Iterator[str]:
        for batch in _batches(sample()):
            for line in processor.normalize(batch):
                yield line.replace(_SPACE, " ").strip()

    return lines


def find_candidates(
    sides: list[Side], texts: list[Callable[[], Iterator[str]]], settings: TokenizerSettings, name: str,
    tags: Sequence[str],
) -> list[Candidate]:  # fmt: skip
    """Train on the text of all sides; return the pieces that none of them has, in the order of training."""
    model = sides[0].tokenizer.model
    known = set(tags).union(*(side.known() for side in sides))
    rules = {"normalization": "identity", "user_defined_symbols": user_defined_pieces(model), "byte_fallback": False}
    # So many that enough of them are new even if the text has every piece of the old vocabulary.
    size = len(known) + settings.extend
    trained = _processor(
        _train(lambda: chain.from_iterable(text() for text in texts), settings.model_copy(update=rules), size,
               splitting_options(model), name)
    )  # fmt: skip
    usable = [index for index in range(trained.vocab_size()) if _is_usable(trained, index)]
    new = [(trained.id_to_piece(index), trained.get_score(index)) for index in usable]
    new = [(piece, score) for piece, score in new if piece not in known and not TAG.fullmatch(piece)]
    if settings.type == "bpe":
        return [Candidate(piece, -1.0 - rank) for rank, (piece, _) in enumerate(new)]
    return [Candidate(piece, score) for piece, score in new]


def _train(
    sample: Callable[[], Iterator[str]], settings: TokenizerSettings, size: int, options: dict[str, Any], name: str
) -> bytes:
    """Train a model of `size` pieces, of fewer if the text has no more, or of more if its characters need them."""
    while True:
        try:
            return run_sentencepiece(sample(), settings, size, [], options)
        except RuntimeError as error:
            most = re.search(r"set it to a value <= (\d+)", str(error))
            least = re.search(r"smaller than required_chars\. \d+ vs (\d+)", str(error))
            if most is not None and int(most[1]) < size:
                size = int(most[1])
            elif least is not None and int(least[1]) > size:
                size = int(least[1])
            else:
                raise explained_error(error, settings, name) from None


def choose(
    candidates: list[Candidate], sides: list[Side], texts: list[Callable[[], Iterator[str]]],
    settings: TokenizerSettings,
) -> list[Candidate]:  # fmt: skip
    """Return the candidates that shorten the text most, at most `extend`, in their order.

    A character saves all of its bytes but one wherever it is, a piece all of its parts but one. A merge of `bpe` needs
    those before it, which are taken with it.
    """
    by_name = {candidate.name: candidate for candidate in candidates}
    saved: Counter[str] = Counter()
    needed: dict[str, set[str]] = {name: set() for name in by_name}
    for side, text in zip(sides, texts, strict=True):
        parts = _parts(side.tokenizer, candidates, settings.type)
        uses = _uses(side.tokenizer, candidates, text, settings.type)
        byte_fallback = any(map(side.tokenizer.is_byte, range(side.tokenizer.vocab_size)))
        # The longest first: parts are shorter than what is made of them, and are used wherever that is.
        for name in sorted(by_name, key=len, reverse=True):
            if len(name) == 1:
                saved[name] += uses[name] * max(1, len(name.encode()) - byte_fallback)
                continue
            saved[name] += uses[name] * (len(parts[name]) - 1)
            for part in parts[name]:
                if part in by_name:
                    uses[part] += uses[name]
                    if len(part) > 1:
                        needed[name].add(part)
    chosen: set[str] = set()
    for name in sorted(by_name, key=lambda name: (-saved[name], len(name))):
        if saved[name] > 0:
            wanted = _closure(name, needed) - chosen
            if len(chosen) + len(wanted) <= settings.extend:
                chosen |= wanted
    return [candidate for candidate in candidates if candidate.name in chosen]


def _closure(name: str, needed: dict[str, set[str]]) -> set[str]:
    """Return a candidate and all that it needs, and that these need."""
    return {name}.union(*(_closure(part, needed) for part in needed[name]))


def _uses(
    tokenizer: Tokenizer, candidates: list[Candidate], text: Callable[[], Iterator[str]], kind: str
) -> Counter[str]:
    """Count how often each candidate would be in the text if all were added."""
    extended = _processor(with_pieces(tokenizer.model, scored(tokenizer, candidates, kind)))
    counts = np.zeros(extended.vocab_size(), dtype=np.int64)
    for batch in _batches(text()):
        ids = np.fromiter(chain.from_iterable(extended.encode(batch, num_threads=1)), dtype=np.int64)
        counts += np.bincount(ids, minlength=len(counts))
    first = len(counts) - len(candidates)
    return Counter({candidate.name: int(counts[first + index]) for index, candidate in enumerate(candidates)})


def _parts(tokenizer: Tokenizer, candidates: list[Candidate], kind: str) -> dict[str, list[str]]:
    """Return of what each candidate of several characters is made: what the last merge of `bpe` joins, or the pieces of
    an old `unigram` model, where characters without a piece are parts of their own."""
    several = [candidate.name for candidate in candidates if len(candidate.name) > 1]
    if kind == "unigram":
        segmenter = Segmenter(_processor(tokenizer.model), user_defined_pieces(tokenizer.model))
        return {name: segmenter.cut_text(name) for name in several}
    processor = _processor(tokenizer.model)
    scores = {processor.id_to_piece(i): processor.get_score(i) for i in range(processor.vocab_size())
              if _is_usable(processor, i)}  # fmt: skip
    scores |= {piece.name: piece.score for piece in scored(tokenizer, candidates, kind)}
    return {name: _last_merge(name, scores) for name in several}


def _last_merge(piece: str, scores: dict[str, float]) -> list[str]:
    """Return the two parts that are merged last when the characters of a piece are, best score first, then leftmost.

    More than two if the merges do not lead to the piece: then no text contains it.
    """
    parts = list(piece)
    while len(parts) > 2:
        merges = [(-scores[left + right], index) for index, (left, right) in enumerate(pairwise(parts))
                  if left + right in scores]  # fmt: skip
        if not merges:
            break
        index = min(merges)[1]
        parts[index : index + 2] = ["".join(parts[index : index + 2])]
    return parts


def scored(tokenizer: Tokenizer, candidates: Sequence[Candidate], kind: str) -> list[NewPiece]:
    """Return the candidates with the scores that they get in the model of a tokenizer of this type."""
    least = 0.0
    if kind == "bpe":
        processor = _processor(tokenizer.model)
        least = min((processor.get_score(i) for i in range(processor.vocab_size()) if _is_usable(processor, i)),
                    default=0.0)  # fmt: skip
    return [NewPiece(candidate.name, least + candidate.score) for candidate in candidates]


def _batches(lines: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(lines, _BATCH_LINES)):
        yield batch


def _names(processor: Any) -> list[str]:
    return [processor.id_to_piece(index) for index in range(processor.vocab_size())]


def _is_usable(processor: Any, index: int) -> bool:
    """Whether text is encoded as this piece, bytes left out."""
    special = (processor.is_control, processor.is_unknown, processor.is_unused, processor.is_byte)
    return not any(is_special(index) for is_special in special)


def _processor(model: bytes) -> Any:
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_proto=model)
