"""FlexAttention over packed sentences: blocks of queries look only at the blocks of keys that hold their sentences.

FlashAttention starts a tile of 128 queries for every sentence and head, most of which a sentence of 30 tokens leaves
empty. Here a block holds the tokens of several sentences, and a mask keeps these apart. Not timed on a GPU yet.

Legend (docs/shapes.md): `Tq` query tokens, `Tk` key tokens, `T` either, `H` heads, `D` head width; `Bq`, `Bk` blocks of
queries and of keys.
"""

import functools
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from translator.attention.layout import Layout

_BLOCK = 128
_flex_attention = cast(Callable[..., Any], flex_attention)


def attend_flex(
    query: Tensor, key: Tensor, value: Tensor, query_layout: Layout, key_layout: Layout, causal: bool
) -> Tensor:
    """`attend` by FlexAttention: one kernel that PyTorch compiles, for CUDA; without gradients also on the CPU."""
    if torch.compiler.is_compiling():
        # Equal computations in one graph are done once.
        mask = sentence_blocks(query_layout, key_layout, len(query), len(key), causal)
    else:
        mask = _kept_blocks(query_layout, key_layout, len(query), len(key), causal)
    # Without compilation all scores between all tokens would be made: 20 GB for 25,000 tokens and 8 heads.
    kernel = _compiled() if query.is_cuda and not torch.compiler.is_compiling() else _flex_attention
    query, key, value = (each.transpose(0, 1)[None] for each in (query, key, value))  # [1, H, T, D]
    output: Tensor = kernel(query, key, value, block_mask=mask)
    return output[0].transpose(0, 1)  # [Tq, H, D]


def sentence_blocks(
    query_layout: Layout, key_layout: Layout, num_queries: int, num_keys: int, causal: bool
) -> BlockMask:
    """Make the mask that lets every query see the keys of its sentence, with `causal` only those up to itself.

    Keys of the sentences of a block are contiguous, so the blocks that it looks at follow from offsets alone, in
    shapes that do not depend on the data.
    """
    queries, keys = (_sentences(layout, size) for layout, size in ((query_layout, num_queries), (key_layout, num_keys)))
    starts = torch.arange(0, num_queries, _BLOCK, device=queries.device)  # [Bq]
    ends = (starts + _BLOCK).clamp_(max=num_queries)
    first_key = key_layout.offsets[queries[starts]]
    last_key = key_layout.offsets[queries[ends - 1] + 1]
    if causal:
        last_key = torch.minimum(last_key, ends)
    blocks = -(-num_keys // _BLOCK)
    first = first_key.div(_BLOCK, rounding_mode="floor")  # [Bq]
    count = (last_key.add(_BLOCK - 1).div(_BLOCK, rounding_mode="floor") - first).clamp_(min=0)
    indices = (first[:, None] + torch.arange(blocks, device=queries.device)).clamp_(max=blocks - 1)  # [Bq, Bk]

    def mask(_: Tensor, __: Tensor, row: Tensor, column: Tensor) -> Tensor:
        same = queries[row] == keys[column]
        return same & (row >= column) if causal else same

    return BlockMask.from_kv_blocks(
        count.int()[None, None], indices.int()[None, None], BLOCK_SIZE=_BLOCK, mask_mod=mask,
        seq_lengths=(num_queries, num_keys),
    )  # fmt: skip


def _sentences(layout: Layout, num_tokens: int) -> Tensor:
    """Return the index of the sentence of each token, `[T]`."""
    tokens = torch.arange(num_tokens, device=layout.offsets.device)
    return torch.searchsorted(layout.offsets[1:], tokens, right=True)


def _kept_blocks(query_layout: Layout, key_layout: Layout, num_queries: int, num_keys: int, causal: bool) -> BlockMask:
    """The same, made once for all layers of a forward pass: a layout keeps the last mask of each kind."""
    kind = causal, key_layout is query_layout
    kept: tuple[Layout, BlockMask] | None = query_layout.block_masks.get(kind)
    if kept is None or kept[0] is not key_layout:
        kept = key_layout, sentence_blocks(query_layout, key_layout, num_queries, num_keys, causal)
        query_layout.block_masks[kind] = kept
    return kept[1]


@functools.cache
def _compiled() -> Callable[..., Any]:
    # For any shape: batches of validation have many, and after eight graphs PyTorch would compute without compilation.
    return torch.compile(_flex_attention, dynamic=True)
