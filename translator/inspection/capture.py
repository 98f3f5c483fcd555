"""Records the attention weights of one pass through the model, from the queries and keys that its modules use.

The modules do not know about it: forward hooks are registered only while weights are recorded.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from translator.attention import Layout, Packed, Projected, attention_weights, pack
from translator.checkpoints import Bundle
from translator.config import KINDS
from translator.model import Transformer
from translator.translation.word_alignment import Pair

Weights = dict[str, list[Tensor]]
"""By kind, for every layer: [N, H, Lq, Lk] in fp32, zero at masked and padded positions; see `attention_weights`."""


@contextlib.contextmanager
def recorded_weights(model: Transformer) -> Iterator[Weights]:
    """Record the weights of all attention modules called inside the `with` block, by kind, in the order of calls."""
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


def pack_pairs(bundle: Bundle, pairs: Sequence[Pair]) -> tuple[Packed, Packed]:
    """Pack pairs for a teacher-forced pass, on the device: sources with the end token, targets with the begin token."""
    bos, eos, device = bundle.tokenizers.target.bos_id, bundle.tokenizers.source.eos_id, bundle.machine.device
    source = pack([[*source, eos] for source, _ in pairs]).to(device)
    return source, pack([[bos, *target] for _, target in pairs]).to(device)


@torch.inference_mode()
def teacher_forced_weights(bundle: Bundle, source: Packed, target: Packed) -> Weights:
    """Pass pairs, as packed by `pack_pairs`, through the model once and return what `recorded_weights` records."""
    with bundle.machine.autocast(), recorded_weights(bundle.model) as recorded:
        bundle.model(source, target)
    return recorded
