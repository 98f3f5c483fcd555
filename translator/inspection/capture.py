"""The attention weights of one pass through the model, from the very queries and keys that its modules attend with.

The modules know nothing of it: hooks stand before them only as long as somebody looks.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from translator.attention import Layout, Packed, Projected, attention_weights, pack
from translator.config import KINDS
from translator.translation.word_alignment import Pair

if TYPE_CHECKING:
    from translator.checkpoints import Bundle
    from translator.model import Transformer

Weights = dict[str, list[Tensor]]
"""By kind, for every layer: `[N, H, Lq, Lk]` in fp32, zero where a mask or a pad hides; see `attention_weights`."""


@contextlib.contextmanager
def recorded_weights(model: "Transformer") -> Iterator[Weights]:
    """Record the weights of every attention module that is called inside, by kind and in the order of the calls."""
    recorded: Weights = {kind: [] for kind in KINDS}
    with contextlib.ExitStack() as hooks:
        for kind in KINDS:
            for module in model.attentions(kind):
                hooks.enter_context(module.register_forward_pre_hook(_recorder(recorded[kind]), with_kwargs=True))
        yield recorded


def _recorder(found: list[Tensor]) -> Any:
    def record(query: Tensor, query_layout: Layout, memory: Projected, causal: bool = False) -> None:
        with torch.autocast(query.device.type, enabled=False):
            found.append(attention_weights(query, memory.key, query_layout, memory.layout, causal))

    def hook(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        record(*arguments, **named)

    return hook


def pack_pairs(bundle: "Bundle", pairs: Sequence[Pair]) -> tuple[Packed, Packed]:
    """Pack pairs for a teacher-forced pass: sources with the end mark, targets with the start mark, on the device."""
    bos, eos, device = bundle.tokenizers.target.bos_id, bundle.tokenizers.source.eos_id, bundle.machine.device
    source = pack([[*source, eos] for source, _ in pairs]).to(device)
    return source, pack([[bos, *target] for _, target in pairs]).to(device)


@torch.inference_mode()
def teacher_forced_weights(bundle: "Bundle", source: Packed, target: Packed) -> Weights:
    """Pass known pairs through the model once; source sentences end with the end mark, targets begin with the start's.

    Returns what `recorded_weights` records: N sentences, rows in the order of the query's tokens.
    """
    with bundle.machine.autocast(), recorded_weights(bundle.model) as recorded:
        bundle.model(source, target)
    return recorded
