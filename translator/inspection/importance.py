"""What heads are worth: how much the loss rises when a head is masked (Michel et al. 2019, section 3).

A masked head adds nothing to the output of its module: its columns of W^O are zero for as long as it is masked.

Legend: `T` target tokens of a batch.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from translator.attention import Packed, pack
from translator.config import KINDS, Head
from translator.decoding import token_batches
from translator.errors import ConfigError, DataError
from translator.inspection.capture import pack_pairs
from translator.translation.word_alignment import Pair

if TYPE_CHECKING:
    from translator.checkpoints import Bundle
    from translator.model import Transformer

_BATCH_TOKENS = 4096
_CHUNK_LOGITS = 1 << 22


@dataclass(frozen=True)
class Importance:
    """Losses in nats a target token, end marks included, without label smoothing."""

    loss: float
    """Of the whole model, or of what was left of it by `masked`."""
    increase: dict[Head, float]
    """By how much it rises when this head is masked too; below zero it falls."""


def model_heads(model: "Transformer") -> list[Head]:
    """Return all heads of a model, by kind, layer and number."""
    return [
        Head(kind, layer, number + 1)
        for kind in KINDS
        for layer, module in enumerate(model.attentions(kind), start=1)
        for number in range(module.num_heads)
    ]


@contextlib.contextmanager
def without_heads(model: "Transformer", heads: Sequence[Head]) -> Iterator[None]:
    """Mask heads: inside, they add nothing to what their modules put out. Raises `ConfigError` for unknown heads."""
    if unknown := [str(head) for head in heads if head not in set(model_heads(model))]:
        raise ConfigError([f"head: the model has no {name}" for name in unknown])
    held = []
    for head in heads:
        module = model.attentions(head.kind)[head.layer - 1]
        columns = slice((head.head - 1) * module.head_dim, head.head * module.head_dim)
        held.append((module.output.weight.data[:, columns], module.output.weight.data[:, columns].clone()))
    try:
        for columns_of_head, _ in held:
            columns_of_head.zero_()
        yield
    finally:
        for columns_of_head, before in held:
            columns_of_head.copy_(before)


def loss_of(bundle: "Bundle", pairs: Sequence[Pair], masked: Sequence[Head] = ()) -> float:
    """Return the mean negative log-probability of a target token, in nats, with `masked` heads off."""
    return measure_importance(bundle, pairs, heads=[], masked=masked).loss


@torch.inference_mode()
def measure_importance(
    bundle: "Bundle",
    pairs: Sequence[Pair],
    heads: Sequence[Head] | None = None,
    masked: Sequence[Head] = (),
    on_progress: Callable[[int], None] | None = None,
) -> Importance:
    """Mask one head after the other (None: all but those that are `masked` throughout) and measure the loss on `pairs`.

    One pass a head; where the head is the decoder's, the encoder's pass is that of the whole model. `on_progress` hears
    the passes of a batch, of `len(heads) + 1`. Raises `DataError` where no pair has anything to predict.
    """
    model = bundle.model
    if heads is None:
        heads = [head for head in model_heads(model) if head not in set(masked)]
    batches = _batches(bundle, pairs)
    if not batches:
        raise DataError("no sentence pair is left to measure the loss on; expected pairs with text on both sides")
    tokens = sum(len(labels) for _, _, labels in batches)
    whole, totals = 0.0, dict.fromkeys(heads, 0.0)
    with without_heads(model, masked):
        for source, target, labels in batches:
            with bundle.machine.autocast():
                memory = model.encode(source)
                whole += _loss(model, model.decode(target, memory, source.layout), labels)
            for head in heads:
                # A new region each time: inside one, copies of the weights in half precision are kept.
                with without_heads(model, [head]), bundle.machine.autocast():
                    seen = model.encode(source) if head.kind == "encoder" else memory
                    totals[head] += _loss(model, model.decode(target, seen, source.layout), labels)
            if on_progress is not None:
                on_progress(1 + len(heads))
    loss = whole / tokens
    return Importance(loss, {head: total / tokens - loss for head, total in totals.items()})


def batch_count(bundle: "Bundle", pairs: Sequence[Pair]) -> int:
    """Return the number of batches that `measure_importance` makes of `pairs`."""
    return len(_batches(bundle, pairs))


def _batches(bundle: "Bundle", pairs: Sequence[Pair]) -> list[tuple[Packed, Packed, Tensor]]:
    """Pack source, decoder input, and the tokens it predicts; pairs with a side that is blank or too long are none."""
    eos = bundle.tokenizers.source.eos_id
    longest = bundle.config.model.max_positions - 1
    usable = [pair for pair in pairs if min(map(len, pair)) and max(map(len, pair)) <= longest]
    batches = []
    for places in token_batches([max(map(len, pair)) + 1 for pair in usable], _BATCH_TOKENS):
        batch = [usable[place] for place in places]
        source, target = pack_pairs(bundle, batch)
        labels = pack([[*own, eos] for _, own in batch]).to(bundle.machine.device).tokens
        batches.append((source, target, labels))
    return batches


def _loss(model: "Transformer", states: Tensor, labels: Tensor) -> float:
    """Sum of the negative log-probabilities of `labels` `[T]`; logits exist for a chunk at a time."""
    rows = max(1, _CHUNK_LOGITS // len(model.output_weight))
    total = torch.zeros((), dtype=torch.float64, device=states.device)
    for chunk, ids in zip(states.split(rows), labels.split(rows), strict=True):
        total += torch.nn.functional.cross_entropy(model.logits(chunk).float(), ids, reduction="none").double().sum()
    found = float(total)
    return found if math.isfinite(found) else math.inf
