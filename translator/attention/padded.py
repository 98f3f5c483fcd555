"""The padded kernel: gather to a grid, two matrix products and a softmax, gather back.

For sentences of a dozen tokens on a CPU this beats `scaled_dot_product_attention` several times over, mostly
because PyTorch's softmax over a short last axis is not vectorised: here it is `exp2` on the whole grid.

Legend (docs/shapes.md): `T` tokens, `N` sentences, `H` heads, `D` head width, `L` longest sentence, `Lq`, `Lk` those of
queries and of keys.
"""

import math
from typing import Any

import torch
from torch import Tensor

from translator.attention.dropout import dropout_scale
from translator.attention.layout import Layout

_LOG2_E = math.log2(math.e)
# exp2 of a score within +-100 neither overflows in a sum of up to 2**27 terms nor loses a whole row to zero.
_SAFE_SCORE = 100.0


def attend_padded(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_layout: Layout,
    key_layout: Layout,
    causal: bool,
    dropout: float,
) -> Tensor:
    """`attend` on a padded grid; any device, any float dtype, with dropout on the weights."""
    with torch.autocast(query.device.type, enabled=False):
        # The grid of the CPU is made of shapes that depend on the data, which do not compile.
        function = _PaddedAttention if query.is_cuda or torch.compiler.is_compiling() else _PaddedAttentionOnCPU
        arguments = (query, key, value, query_layout, key_layout, causal, dropout)
        output: Tensor = function.apply(*arguments)  # type: ignore[no-untyped-call]
        return output


def to_grid(packed: Tensor, layout: Layout) -> Tensor:
    """Spread `[T, H, D]` over `[N, H, L, D]`; a pad holds some other token's values, finite but meaningless."""
    grid = packed.index_select(0, layout.rows)
    return grid.view(layout.num_sentences, layout.max_length, *packed.shape[1:]).transpose(1, 2).contiguous()


def to_packed(grid: Tensor, layout: Layout) -> Tensor:
    """Collect `[N, H, L, D]` into `[T, H, D]`, leaving out the pads."""
    rows = grid.transpose(1, 2).flatten(0, 1)  # [N * L, H, D]
    return rows.index_select(0, layout.cells)


def length_bias(layout: Layout, dtype: torch.dtype) -> Tensor | None:
    """The bias that hides pads as keys, `[N, 1, 1, L]`, or None if there are none."""
    if layout.pads.numel() == 0:
        return None
    bias = torch.zeros(layout.mask.shape, dtype=dtype, device=layout.mask.device)
    return bias.masked_fill_(~layout.mask, -math.inf)[:, None, None, :]


def _scores(query: Tensor, key: Tensor) -> Tensor:
    """Scores in powers of two: Q K^T * log2(e) / sqrt(D), `[N, H, Lq, Lk]`."""
    return (query * (_LOG2_E / math.sqrt(query.shape[-1]))) @ key.transpose(-1, -2)


def softmax_grid(scores: Tensor, bias: Tensor | None) -> Tensor:
    """Turn scores in powers of two into weights, in place; rows sum to one."""
    if scores.is_cuda or scores.dtype != torch.float32:
        if bias is not None:
            scores = scores + bias
        wide = torch.promote_types(scores.dtype, torch.float32)
        return (scores / _LOG2_E).softmax(-1, dtype=wide).to(scores.dtype)
    safe = scores.numel() == 0 or max(-float(scores.min()), float(scores.max())) < _SAFE_SCORE
    if bias is not None:
        scores.add_(bias)
    if not safe:
        scores.sub_(scores.amax(-1, keepdim=True))
    scores.exp2_()
    return scores.div_(scores.sum(-1, keepdim=True))


def _working_dtype(query: Tensor) -> torch.dtype:
    """The dtype of the grid: fp32 for bf16 on the CPU, whose kernels need no compilation for each new shape."""
    return torch.float32 if query.device.type == "cpu" and query.dtype == torch.bfloat16 else query.dtype


class _PaddedAttention(torch.autograd.Function):
    """Forward and backward by hand: the temporaries and the slow softmax gradient are what costs here."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, query_layout: Layout, key_layout: Layout,
        causal: bool, dropout: float,
    ) -> Tensor:  # fmt: skip
        dtype = _working_dtype(query)
        grid_query = to_grid(query, query_layout).to(dtype)
        grid_key = to_grid(key, key_layout).to(dtype)
        grid_value = to_grid(value, key_layout).to(dtype)
        ctx.dtype = query.dtype
        bias = length_bias(key_layout, grid_query.dtype)
        if causal:
            size = (query_layout.max_length, key_layout.max_length)
            # Causality hides every pad of a real query, since pads come last.
            bias = torch.full(size, -math.inf, dtype=grid_query.dtype, device=query.device).triu_(1)
        weights = softmax_grid(_scores(grid_query, grid_key), bias)
        scale = dropout_scale(weights, dropout) if dropout else None
        output = (weights if scale is None else weights * scale) @ grid_value
        ctx.save_for_backward(grid_query, grid_key, grid_value, weights, output, scale)
        ctx.query_layout, ctx.key_layout = query_layout, key_layout
        return to_packed(output, query_layout).to(query.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        query, key, value, weights, output, scale = ctx.saved_tensors
        gradient = to_grid(gradient, ctx.query_layout).to(query.dtype)
        pads = ctx.query_layout.pads
        if pads.numel():
            # A pad's gradient is another token's, by construction of the grid; it must not count twice.
            gradient = gradient.masked_fill_(~ctx.query_layout.mask[:, None, :, None], 0.0)
        dropped = weights if scale is None else weights * scale
        grad_value = dropped.transpose(-1, -2) @ gradient
        # Gradient of the softmax: w * (dw - sum(w * dw)), where the sum over keys equals (output . gradient).
        grad_scores = gradient @ value.transpose(-1, -2)
        if scale is not None:
            grad_scores.mul_(scale)
        grad_scores.sub_((output * gradient).sum(-1, keepdim=True)).mul_(weights)
        factor = 1.0 / math.sqrt(query.shape[-1])
        grad_query = (grad_scores @ key).mul_(factor)
        grad_key = (grad_scores.transpose(-1, -2) @ query).mul_(factor)
        return (
            to_packed(grad_query, ctx.query_layout).to(ctx.dtype),
            to_packed(grad_key, ctx.key_layout).to(ctx.dtype),
            to_packed(grad_value, ctx.key_layout).to(ctx.dtype),
            None, None, None, None,
        )  # fmt: skip


class _PaddedAttentionOnCPU(torch.autograd.Function):
    """The same on the grid of the CPU: one gather in each direction, products in the dtype of the queries.

    Products in bf16 take a third of the time of those in fp32 here; softmax is computed in fp32 in either case, since
    the CPU converts faster than it divides in bf16.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, query_layout: Layout, key_layout: Layout,
        causal: bool, dropout: float,
    ) -> Tensor:  # fmt: skip
        queries, keys = query_layout.grid, key_layout.grid
        wide = torch.promote_types(query.dtype, torch.float32)
        query, key, value = queries.spread(query), keys.spread(key), keys.spread(value)
        bias = queries.causal_bias if causal else keys.key_bias
        scores = (query @ key.transpose(-1, -2)).to(wide).mul_(_LOG2_E / math.sqrt(query.shape[-1]))
        weights = softmax_grid(scores, bias).to(query.dtype)
        scale = dropout_scale(weights, dropout) if dropout else None
        output = (weights if scale is None else weights * scale) @ value
        ctx.save_for_backward(query, key, value, weights, output, scale)
        ctx.queries, ctx.keys = queries, keys
        return queries.collect(output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        query, key, value, weights, output, scale = ctx.saved_tensors
        # A pad's gradient is another token's, by construction of the grid; it must not count twice.
        gradient = ctx.queries.clear_pads(ctx.queries.spread(gradient))
        dropped = weights if scale is None else weights * scale
        grad_value = dropped.transpose(-1, -2) @ gradient
        wide = torch.promote_types(query.dtype, torch.float32)
        grad_scores = (gradient @ value.transpose(-1, -2)).to(wide)
        if scale is not None:
            grad_scores.mul_(scale)
        grad_scores.sub_((output * gradient).sum(-1, keepdim=True, dtype=wide)).mul_(weights)
        grad_scores = grad_scores.mul_(1.0 / math.sqrt(query.shape[-1])).to(query.dtype)
        grad_query = grad_scores @ key
        grad_key = grad_scores.transpose(-1, -2) @ query
        collected = ctx.queries.collect(grad_query), ctx.keys.collect(grad_key), ctx.keys.collect(grad_value)
        return *collected, None, None, None, None
