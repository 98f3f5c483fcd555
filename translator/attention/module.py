"""Multi-head attention, one module for encoder self-attention, masked self-attention and cross-attention.

MultiHead(Q, K, V) = Concat(head_1, ..., head_h) W^O, head_i = Attention(Q W_i^Q, K W_i^K, V W_i^V) (Vaswani et
al. 2017, section 3.2.2). What differs between its three uses is where keys and values come from, and that is an
argument: the same tokens, the tokens decoded so far, or the encoder's output.

Legend (docs/shapes.md): `T` tokens that look, `S` tokens that are looked at, `H` heads, `D` head width.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from translator.attention.kernels import attend
from translator.attention.layout import Layout


class Projected(NamedTuple):
    """Keys and values after their projections, `[S, H, D]` each, and the layout of their sentences."""

    key: Tensor
    value: Tensor
    layout: Layout


class MultiHeadAttention(nn.Module):
    """Query, key and value projections, attention in every head, and the output projection W^O.

    `head_dim` is free and is `d_model / num_heads` by default. The three projections share one matrix
    `[3 * H * D, d_model]`, query rows first, so that self-attention projects in one product.
    """

    def __init__(self, d_model: int, num_heads: int, head_dim: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = head_dim or d_model // num_heads
        self.dropout = dropout
        self.wanted_kernel = "auto"
        """Set by `Transformer.use_attention_kernel`."""
        self.kept_head: int | None = None
        """The head, counted from 0, whose queries and keys a forward pass in training leaves in `kept`."""
        self.kept: tuple[Tensor, Tensor] | None = None
        """Queries `[T, D]` and keys `[S, D]` of that head: its weights, which no kernel returns, follow from them."""
        width = self.num_heads * self.head_dim
        self.input_weight = nn.Parameter(torch.empty(3 * width, d_model))
        self.input_bias = nn.Parameter(torch.zeros(3 * width))
        self.output = nn.Linear(width, d_model)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform for each projection separately, zero biases."""
        for weight in (*self.input_weight.chunk(3), self.output.weight):
            nn.init.xavier_uniform_(weight)
        nn.init.zeros_(self.input_bias)
        nn.init.zeros_(self.output.bias)

    def forward(self, query: Tensor, query_layout: Layout, memory: Projected, causal: bool = False) -> Tensor:
        """Attend from projected queries `[T, H, D]` to `memory`; returns `[T, d_model]`."""
        dropout = self.dropout if self.training else 0.0
        if self.training and self.kept_head is not None:
            self.kept = query[:, self.kept_head], memory.key[:, self.kept_head]
        heads = attend(
            query, memory.key, memory.value, query_layout, memory.layout, causal, dropout, self.wanted_kernel
        )
        output: Tensor = self.output(heads.flatten(-2))
        return output

    def attend_to_itself(self, states: Tensor, layout: Layout, causal: bool = False) -> Tensor:
        """Self-attention: `states` `[T, d_model]` are queries, keys and values; returns `[T, d_model]`."""
        query, key, value = self.project_all(states)
        output: Tensor = self(query, layout, Projected(key, value, layout), causal)
        return output

    def attend_to_memory(self, states: Tensor, layout: Layout, memory: Projected) -> Tensor:
        """Cross-attention from `states` `[T, d_model]` to memory after `project_memory`; returns `[T, d_model]`."""
        output: Tensor = self(self.project_query(states), layout, memory)
        return output

    def project_all(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of the same tokens: `[..., d_model]` to three of `[..., H, D]`."""
        return self._project(states, 0, 3)  # type: ignore[return-value]

    def project_query(self, states: Tensor) -> Tensor:
        """Queries `[..., H, D]` of `[..., d_model]`."""
        return self._project(states, 0, 1)[0]

    def project_memory(self, memory: Tensor, layout: Layout) -> Projected:
        """Keys and values of the encoder's output `[S, d_model]`, once for all steps."""
        key, value = self._project(memory, 1, 3)
        return Projected(key, value, layout)

    def _project(self, states: Tensor, first: int, last: int) -> tuple[Tensor, ...]:
        width = self.num_heads * self.head_dim
        rows = slice(first * width, last * width)
        projected = functional.linear(states, self.input_weight[rows], self.input_bias[rows])
        size = (*states.shape[:-1], last - first, self.num_heads, self.head_dim)
        return projected.view(size).unbind(-3)
