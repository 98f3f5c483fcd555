"""Encoder and decoder layers: attention and feed-forward blocks, each inside a residual connection.

Legend (docs/shapes.md): `T` target tokens, `S` source tokens.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from translator.attention import Layout, MultiHeadAttention
from translator.attention.dropout import Dropout
from translator.config import ModelSettings
from translator.model.ssru import SSRU

Block = Callable[[Tensor], Tensor]


class LayerNorm(nn.LayerNorm):
    """LayerNorm that computes in fp32 and returns the format that it gets, whatever that of its weights.

    The weights of sharded layers may be in bf16, and so may the states; autocast on CUDA would return fp32.
    """

    def forward(self, states: Tensor) -> Tensor:
        """Normalise `states` `[..., d_model]`."""
        weight, bias = self.weight.float(), self.bias.float()
        return functional.layer_norm(states, self.normalized_shape, weight, bias, self.eps).to(states.dtype)


class PostNorm(nn.Module):
    """LayerNorm(x + dropout(block(x))), as in the paper."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.norm = LayerNorm(settings.d_model, settings.norm_epsilon)
        self.dropout = Dropout(settings.dropout)

    def forward(self, states: Tensor, block: Block) -> Tensor:
        """Wrap `block` around `states` `[..., d_model]`."""
        output: Tensor = self.norm(self.dropout.add(states, block(states)))
        return output


class PreNorm(PostNorm):
    """x + dropout(block(LayerNorm(x))): steadier in deep stacks; the stack ends with a norm of its own."""

    def forward(self, states: Tensor, block: Block) -> Tensor:
        """Wrap `block` around `states` `[..., d_model]`."""
        return self.dropout.add(states, block(self.norm(states)))


RESIDUALS = {"post": PostNorm, "pre": PreNorm}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "gelu": nn.functional.gelu,
    "swish": nn.functional.silu,
}


class FeedForward(nn.Module):
    """W_2 activation(W_1 x + b_1) + b_2 (section 3.3)."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.inner = nn.Linear(settings.d_model, settings.d_ff)
        self.outer = nn.Linear(settings.d_ff, settings.d_model)
        self.activation = ACTIVATIONS[settings.activation]
        self.dropout = Dropout(settings.activation_dropout)
        for linear in (self.inner, self.outer):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, states: Tensor) -> Tensor:
        """`[..., d_model]` to `[..., d_model]`."""
        output: Tensor = self.outer(self.dropout(self.activation(self.inner(states))))
        return output


def _attention(settings: ModelSettings, kind: str, layer: int) -> MultiHeadAttention:
    heads = settings.heads(kind)[layer]
    return MultiHeadAttention(settings.d_model, heads, settings.width_of_head, settings.attention_dropout)


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward."""

    def __init__(self, settings: ModelSettings, layer: int) -> None:
        """`layer` counts from 0."""
        super().__init__()
        residual = RESIDUALS[settings.norm]
        self.self_attention = _attention(settings, "encoder", layer)
        self.self_residual = residual(settings)
        self.feed_forward = FeedForward(settings)
        self.feed_forward_residual = residual(settings)

    def forward(self, states: Tensor, layout: Layout) -> Tensor:
        """`[S, d_model]` to `[S, d_model]`."""
        states = self.self_residual(states, lambda x: self.self_attention.attend_to_itself(x, layout))
        output: Tensor = self.feed_forward_residual(states, self.feed_forward)
        return output


class DecoderLayer(nn.Module):
    """Masked self-attention or a recurrent cell over the past, cross-attention to the memory, then feed-forward."""

    def __init__(self, settings: ModelSettings, layer: int) -> None:
        """`layer` counts from 0."""
        super().__init__()
        residual = RESIDUALS[settings.norm]
        self.recurrent = settings.decoder_cell == "ssru"
        if self.recurrent:
            self.cell = SSRU(settings.d_model)
        else:
            self.self_attention = _attention(settings, "decoder", layer)
        self.self_residual = residual(settings)
        self.cross_attention = _attention(settings, "cross", layer)
        self.cross_residual = residual(settings)
        self.feed_forward = FeedForward(settings)
        self.feed_forward_residual = residual(settings)

    def forward(self, states: Tensor, layout: Layout, memory: Tensor, memory_layout: Layout) -> Tensor:
        """All positions of known targets at once: `[T, d_model]` to `[T, d_model]`, over memory `[S, d_model]`.

        In training, this method alone uses the weights of the layer, so that a layer can be sharded by itself.
        """
        projected = self.cross_attention.project_memory(memory, memory_layout)
        states = self.self_residual(states, lambda x: self.look_back(x, layout))
        states = self.cross_residual(states, lambda x: self.cross_attention.attend_to_memory(x, layout, projected))
        output: Tensor = self.feed_forward_residual(states, self.feed_forward)
        return output

    def look_back(self, states: Tensor, layout: Layout) -> Tensor:
        """Masked self-attention, or the recurrent cell in its place, of `[T, d_model]`."""
        if self.recurrent:
            return cast(Tensor, self.cell(states, layout))
        return self.self_attention.attend_to_itself(states, layout, causal=True)
