"""Where every head looks in one sentence pair: all layers, all heads, all three kinds of attention.

maps = inspect_sentence(Translator.load("runs/en-de"), "A dog runs.")
maps.of(parse_head("cross.2.1"))  # rows: predicted pieces, columns: source pieces
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from translator.checkpoints import Bundle
from translator.config import KINDS, Head
from translator.config.overrides import replace_stated, settings_from
from translator.errors import ConfigError, DataError
from translator.inspection.capture import pack_pairs, teacher_forced_weights
from translator.inspection.parts import head_counts, heads_of, parse_part
from translator.runtime.counted import counted
from translator.text import choose_tag, with_tag
from translator.text.id_mapping import TAG
from translator.translation import Translator
from translator.translation.alignment_head import alignment_head
from translator.translation.line_parts import content_of


@dataclass(frozen=True)
class AttentionMaps:
    """The weights of one teacher-forced pass; S source and T target pieces, special tokens included."""

    run: str
    """Name of the run."""
    source_text: str
    target_text: str
    source: tuple[str, ...]
    """What the encoder reads [S]: the language tag first if there is one, the end token last. U+2581 begins a word."""
    target: tuple[str, ...]
    """What the decoder reads [T]: the begin token first."""
    predicted: tuple[str, ...]
    """What each position of the decoder predicts [T]: the end token last."""
    weights: dict[str, tuple[NDArray[np.float32], ...]]
    """By kind, for every layer: encoder [H, S, S], decoder [H, T, T] (zero above the diagonal), cross [H, T, S]; rows
    sum to one. Layers may have different numbers of heads."""
    alignment_head: Head | None = None
    """The head that the run's word alignments come from, if it has one."""

    @property
    def has_tag(self) -> bool:
        """Whether the first source piece is a language tag; no text is encoded as a piece like one."""
        return bool(self.source and TAG.fullmatch(self.source[0]))

    def heads(self) -> Iterator[Head]:
        """Yield all heads, by kind, layer and index."""
        for kind in KINDS:
            for layer, weights in enumerate(self.weights[kind], start=1):
                yield from (Head(kind, layer, index + 1) for index in range(len(weights)))

    def of(self, head: Head) -> NDArray[np.float32]:
        """Return the weights of one head [Lq, Lk]; raises `ConfigError` if the model has no such head."""
        if head not in set(self.heads()):
            layers = self.weights[head.kind]
            counts = ", ".join(str(len(layer)) for layer in layers)
            raise ConfigError([f"head: {head} is not in {self.run}, whose {head.kind} layers have {counts} heads"])
        weights: NDArray[np.float32] = self.weights[head.kind][head.layer - 1][head.head - 1]
        return weights

    def labels(self, kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the pieces of the rows (looking) and columns (looked at); rows of `cross` are predicted pieces."""
        rows = {"encoder": self.source, "decoder": self.target, "cross": self.predicted}[kind]
        return rows, self.target if kind == "decoder" else self.source


def inspect_sentence(
    translator: Translator, source: str, target: str | None = None, *, to: str | None = None, **settings: Any
) -> AttentionMaps:
    """Translate a sentence, unless `target` is its translation, and return where every head looks in the pair.

    `to` and `settings` are those of `Translator.translate`; the setting `alignment` chooses `alignment_head`. Raises
    `DataError` if a side is blank or longer than the model's limit.
    """
    bundle = translator.bundle
    tokenizers, data = bundle.tokenizers, bundle.config.data
    tag = choose_tag(tokenizers.source, data.language_tags, to, str(bundle.directory))
    source = content_of(source)
    source_ids = with_tag(tokenizers.source.encode([source]), tag)[0]
    _check_blank("source", source)
    _check_length(bundle, "source", source_ids)
    if target is None:
        # With pieces, but without an alignment, for which a head might have to be learned from this one sentence.
        replaced = replace_stated(translator.settings, settings_from(settings))
        (line,) = translator.translate_blocks([[source]], replaced, to=to, with_scores=True)
        if not line.translations:
            raise DataError(f"source: {source!r} has no translation that the settings allow; give one with --target")
        target = line.text
        ids = {piece: index for index, piece in enumerate(_vocabulary(bundle))}
        target_ids = [ids[piece] for piece in line.translations[0].pieces]
    else:
        target = content_of(target)
        target_ids = tokenizers.target.encode([target])[0]
        _check_blank("target", target)
    # A line translated in parts may have a translation that is longer than the limit.
    _check_length(bundle, "target", target_ids)
    head = known_alignment_head(bundle, settings.get("alignment"))
    return _maps(bundle, (source, target), source_ids, target_ids, head)


def _maps(
    bundle: Bundle,
    texts: tuple[str, str],
    source_ids: Sequence[int],
    target_ids: Sequence[int],
    head: Head | None,
) -> AttentionMaps:
    tokenizers = bundle.tokenizers
    source, target = pack_pairs(bundle, [(source_ids, target_ids)])
    weights = teacher_forced_weights(bundle, source, target)
    target_pieces = tokenizers.target.target_pieces([*target_ids, tokenizers.target.eos_id])
    return AttentionMaps(
        run=bundle.directory.resolve().name,
        source_text=texts[0],
        target_text=texts[1],
        source=tuple(tokenizers.source.pieces(source.tokens.tolist())),
        target=tuple(target_pieces[:-1]),
        predicted=tuple(target_pieces[1:]),
        weights={kind: tuple(layer[0].cpu().numpy() for layer in layers) for kind, layers in weights.items()},
        alignment_head=head,
    )


def known_alignment_head(bundle: Bundle, stated: str | None = None) -> Head | None:
    """Return the head named by `stated` or by the run's `decoding.alignment`, or learned in training; else None.

    Raises `ConfigError` if `stated` names a head that the model does not have.
    """
    try:
        known = alignment_head(bundle, stated or bundle.config.decoding.alignment)
    except ConfigError:
        if stated in (None, "auto"):
            return None
        raise
    return Head("cross", known.layer, known.head)


def heads_to_show(
    bundle: Bundle, name: str | None, printed: Literal["map", "alignment"] | None, alignment: str | None
) -> list[Head]:
    """Return the heads that `name` selects; a single one if something is `printed` about it.

    `name` is a part such as `cross.2.1`, or "best" for the alignment head, which the setting `alignment` may name. The
    default is the alignment head or, for a printed map of a run without one, the first head of the last cross-attention
    layer. Raises `ConfigError`, before any translation, if there is no such head or it cannot be printed.
    """
    run, counts = bundle.directory, head_counts(bundle.model)
    if name is not None and name != "best":
        found = heads_of(parse_part(name), counts, str(run))
        if printed and len(found) > 1:
            raise ConfigError([f"head: found {name}, expected one head to print, such as {found[0]}"])
    elif best := known_alignment_head(bundle, alignment):
        found = [best]
    elif name is None and printed == "map":
        found = [Head("cross", len(counts["cross"]), 1)]
    elif name is None and printed is None:
        found = []
    else:
        raise ConfigError([f"head: {run} has learned no head for alignments; name one, such as --head cross.1.1"])
    if printed == "alignment" and found[0].kind != "cross":
        raise ConfigError([f"head: found {found[0]}, expected a head of the cross-attention to print its alignment"])
    return found


def _check_blank(side: str, text: str) -> None:
    if not text.strip():
        raise DataError(f"{side}: found a blank sentence, expected one with words in it")


def _check_length(bundle: Bundle, side: str, ids: Sequence[int]) -> None:
    longest = bundle.config.model.max_positions - 1
    if len(ids) > longest:
        raise DataError(f"{side}: found {counted(len(ids), 'piece')}, expected at most {longest:,}, the model's limit")


def _vocabulary(bundle: Bundle) -> list[str]:
    tokenizer = bundle.tokenizers.target
    return tokenizer.pieces(range(tokenizer.vocab_size))
