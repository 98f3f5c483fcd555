"""The importance of heads: how much the loss rises when a head is masked (Michel et al. 2019, section 3).

A masked head adds nothing to the output of its module: its columns of W^O are zero while it is masked.

Shapes: T target tokens of a batch.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from translator.attention import Packed, pack
from translator.checkpoints import Bundle
from translator.config import KINDS, Head
from translator.decoding import token_batches
from translator.errors import ConfigError, DataError
from translator.inspection.capture import pack_pairs
from translator.model import Transformer
from translator.translation.word_alignment import Pair

_BATCH_TOKENS = 4096
_CHUNK_LOGITS = 1 << 22


@dataclass(frozen=True)
class Importance:
    """Losses in nats per target token, end tokens included, without label smoothing."""

    loss: float
    """Loss of the whole model, or of the model without the heads in `masked`."""
    increase: dict[Head, float]
    """How much the loss rises when this head is masked too; negative if it falls."""


def model_heads(model: Transformer) -> list[Head]:
    """Return all heads of a model, by kind, layer and index."""
    return [
        Head(kind, layer, index + 1)
        for kind in KINDS
        for layer, module in enumerate(model.attentions(kind), start=1)
        for index in range(module.num_heads)
    ]


@contextlib.contextmanager
def without_heads(model: Transformer, heads: Sequence[Head]) -> Iterator[None]:
    """Mask heads inside the `with` block. Raises `ConfigError` if the model does not have a head."""
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


def loss_of(bundle: Bundle, pairs: Sequence[Pair], masked: Sequence[Head] = ()) -> float:
    """Return the mean negative log-probability of a target token, in nats, with the `masked` heads masked."""
    return measure_importance(bundle, pairs, heads=[], masked=masked).loss


@torch.inference_mode()
def measure_importance(
    bundle: Bundle,
    pairs: Sequence[Pair],
    heads: Sequence[Head] | None = None,
    masked: Sequence[Head] = (),
    on_progress: Callable[[int], None] | None = None,
) -> Importance:
    """Measure the loss on `pairs` with each of `heads` masked in turn (None: all heads except `masked`).

    The heads in `masked` are masked all the time. There is one pass for each head; for heads of the decoder, the
    encoder's output is computed only once. `on_progress` is called with the number of passes, `len(heads) + 1`, after
    each batch. Raises `DataError` if no pair has text on both sides.
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
                # A new autocast region each time, because a region caches half-precision copies of the weights.
                with without_heads(model, [head]), bundle.machine.autocast():
                    seen = model.encode(source) if head.kind == "encoder" else memory
                    totals[head] += _loss(model, model.decode(target, seen, source.layout), labels)
            if on_progress is not None:
                on_progress(1 + len(heads))
    loss = whole / tokens
    return Importance(loss, {head: total / tokens - loss for head, total in totals.items()})


def batch_count(bundle: Bundle, pairs: Sequence[Pair]) -> int:
    """Return the number of batches into which `measure_importance` divides `pairs`."""
    return len(_batches(bundle, pairs))


def _batches(bundle: Bundle, pairs: Sequence[Pair]) -> list[tuple[Packed, Packed, Tensor]]:
    """Pack source, decoder input and labels of every batch, without pairs that have a blank or too long side."""
    eos = bundle.tokenizers.target.eos_id
    longest = bundle.config.model.max_positions - 1
    usable = [pair for pair in pairs if min(map(len, pair)) and max(map(len, pair)) <= longest]
    batches = []
    for indices in token_batches([max(map(len, pair)) + 1 for pair in usable], _BATCH_TOKENS):
        batch = [usable[index] for index in indices]
        source, target = pack_pairs(bundle, batch)
        labels = pack([[*own, eos] for _, own in batch]).to(bundle.machine.device).tokens
        batches.append((source, target, labels))
    return batches


def _loss(model: Transformer, states: Tensor, labels: Tensor) -> float:
    """Return the sum of the negative log-probabilities of `labels` [T]; logits exist for one chunk at a time."""
    rows = max(1, _CHUNK_LOGITS // len(model.output_weight))
    total = torch.zeros((), dtype=torch.float64, device=states.device)
    for chunk, ids in zip(torch.split(states, rows), torch.split(labels, rows), strict=True):
        total += torch.nn.functional.cross_entropy(model.logits(chunk).float(), ids, reduction="none").double().sum()
    found = float(total)
    return found if math.isfinite(found) else math.inf
