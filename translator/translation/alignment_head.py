"""The head of the cross-attention that alignments come from: stated, trained to align, or found and kept."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from translator.checkpoints import Bundle
from translator.config import Head, guided_head
from translator.errors import CheckpointError, ConfigError
from translator.runtime.console import say, warn
from translator.runtime.counted import counted
from translator.runtime.files import write_text
from translator.runtime.json_files import read_json
from translator.translation.word_alignment import AlignmentHead, Pair, most_attended

ALIGNMENT = "alignment.json"
_SHAPE = {
    "layer": int,
    "head": int,
    "score?": (None, float),
    "pairs?": int,
    "weights": str,
    "step": int,
    "digest?": str,
}
ENOUGH_PAIRS = 100
"""A head that was learned from fewer pairs than this is not kept."""
_SHUFFLES = 4


def alignment_head(bundle: Bundle, setting: str, sample: Sequence[Pair] | None = None) -> AlignmentHead:
    """Return the head that `setting` (`decoding.alignment`) asks for: `LAYER.HEAD`, or `auto`.

    `auto` is the head that was trained to align (`training.guided_alignment`), or else a learned one. That is read from
    the run directory, where training writes it, if it belongs to these weights. Otherwise it is learned from `sample`,
    such as sources and their translations, and written there if possible. Raises `ConfigError` for a head that the
    model does not have, and if there is nothing to learn from.
    """
    if setting != "auto":
        return _stated_head(bundle, setting)
    if (guided := guided_head(bundle.config.training, bundle.config.model)) is not None:
        return AlignmentHead(guided.layer, guided.head)
    if (stored := read_alignment_head(bundle)) is not None:
        return stored
    if not sample:
        raise ConfigError(
            [f"decoding.alignment: {bundle.directory} has learned no head yet; translate something, or set LAYER.HEAD"]
        )
    learned = learn_alignment_head(bundle, *zip(*sample, strict=True))
    path = keep_alignment_head(bundle, learned) if learned.pairs >= ENOUGH_PAIRS else None
    say(
        f"alignments come from head {learned.layer}.{learned.head}, learned from "
        f"{counted(learned.pairs, 'translation')} ({f'kept in {path}' if path else 'not kept'})"
    )
    return learned


def learn_alignment_head(
    bundle: Bundle, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> AlignmentHead:
    """Choose the head with the highest of `alignment_scores`; a few hundred pairs are enough."""
    scores, pairs = alignment_scores(bundle, sources, targets)
    if not scores:
        return AlignmentHead(1, 1, 0.0)
    best = max(scores, key=lambda head: scores[head])
    return AlignmentHead(best.layer, best.head, round(scores[best], 6), pairs)


def alignment_scores(
    bundle: Bundle, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> tuple[dict[Head, float], int]:
    """Return how much information the links of every cross-attention head carry about the target, 0 to 1.

    Words that translate each other occur together more often than by chance (Church and Hanks 1990): the score is the
    mutual information of the two pieces that a link joins, as a share of the target pieces' entropy. As any sample has
    some by chance, the information of the same links after shuffling within each sentence is subtracted (compare
    Vinh et al. 2010). That also takes away the score of a head that attends to a fixed position, which would otherwise
    seem to know much: what the sentence is about.

    The second result is the number of pairs that were used. There are no scores if no pair has pieces on both sides.
    """
    longest = bundle.config.model.max_positions - 1
    pairs = [pair for pair in zip(sources, targets, strict=True) if max(map(len, pair)) <= longest]
    layers = range(1, bundle.config.model.decoder_layers + 1)
    linked: list[list[NDArray[Any]]] = [[] for _ in layers]
    known, sentences = [], []
    for indices, attended in most_attended(bundle, pairs, layers):
        for row, index in enumerate(indices):
            source, target = (np.asarray(side) for side in pairs[index])
            known.append(target)
            sentences.append(np.full(len(target), index))
            for parts, by_head in zip(linked, attended, strict=True):
                parts.append(source[by_head[row, :, : len(target)].numpy()])  # [H, target pieces]
    if not known:
        return {}, 0
    target, sentence = np.concatenate(known), np.concatenate(sentences)  # [P]
    return {
        Head("cross", layer, number): _information(own, target, sentence)
        for layer, parts in zip(layers, linked, strict=True)
        for number, own in enumerate(np.concatenate(parts, axis=-1), start=1)
    }, len(known)


def keep_alignment_head(bundle: Bundle, head: AlignmentHead) -> Path | None:
    """Write a learned head into the run directory, with the weights that it belongs to; None if that fails."""
    path = bundle.directory / ALIGNMENT
    try:
        model = {"weights": bundle.weights, "step": bundle.step, "digest": bundle.digest}
        write_text(path, json.dumps({**asdict(head), **model}) + "\n")
    except OSError:
        return None
    return path


def read_alignment_head(bundle: Bundle) -> AlignmentHead | None:
    """Return the head that was kept for these weights; None if there is none, or none that makes sense."""
    stored = stored_alignment(bundle.directory)
    if stored is None:
        return None
    head = AlignmentHead(**{name: stored[name] for name in ("layer", "head", "score", "pairs") if name in stored})
    # Older versions noted no digest.
    of_model = stored["weights"], stored["step"], stored.get("digest", bundle.digest)
    known = of_model == (bundle.weights, bundle.step, bundle.digest) and not _missing(bundle, head)
    return head if known else None


def stored_alignment(run: Path) -> dict[str, Any] | None:
    """Read what a run keeps of its learned head; None if there is nothing, or nothing of use, which is said."""
    try:
        stored: dict[str, Any] = read_json(run / ALIGNMENT, _SHAPE, CheckpointError, "another head will be learned")
    except FileNotFoundError:
        return None
    except CheckpointError as error:
        warn(str(error))
        return None
    return stored


def _stated_head(bundle: Bundle, setting: str) -> AlignmentHead:
    numbers = re.fullmatch(r"(?:cross\.)?(\d+)\.(\d+)", setting)
    head = AlignmentHead(int(numbers[1]), int(numbers[2])) if numbers else None
    if head is None or _missing(bundle, head):
        counts = bundle.config.model.heads("cross")
        heads = f"1 to {counts[0]}" if len(set(counts)) == 1 else f"1 to {', '.join(map(str, counts))} by layer"
        raise ConfigError(
            [
                f"decoding.alignment: found {setting!r}, expected `auto` or LAYER.HEAD with a layer from 1 to "
                f"{len(counts)} and a head from {heads}, such as 1.1"
            ]
        )
    return head


def _missing(bundle: Bundle, head: AlignmentHead) -> bool:
    counts = bundle.config.model.heads("cross")
    return not (1 <= head.layer <= len(counts) and 1 <= head.head <= counts[head.layer - 1])


def _information(linked: NDArray[Any], target: NDArray[Any], sentence: NDArray[Any]) -> float:
    """Return the information about `target` that `linked` carries beyond its sentences', as a share; ids `[P]` each."""
    entropy = _mutual_information(target, target)
    random = np.random.default_rng(1)
    chance = 0.0
    for _ in range(_SHUFFLES):
        order = np.lexsort((random.random(len(linked)), sentence))
        chance += _mutual_information(linked[order], target) / _SHUFFLES
    return float((_mutual_information(linked, target) - chance) / entropy) if entropy > 0.0 else 0.0


def _mutual_information(left: NDArray[Any], right: NDArray[Any]) -> float:
    """Return the plug-in estimate, in nats, from the pieces that occur together, ids `[P]` each."""
    (_, left, left_counts), (_, right, right_counts) = (
        np.unique(ids, return_inverse=True, return_counts=True) for ids in (left, right)
    )
    both, counts = np.unique(left * len(right_counts) + right, return_counts=True)
    alone = left_counts[both // len(right_counts)] * right_counts[both % len(right_counts)]
    return float((counts * np.log(counts * len(left) / alone)).sum() / len(left))
