"""The encoder-decoder Transformer (Vaswani et al. 2017) on packed batches.

For decoding, step by step, `translator.inference` brings its weights into another form.

Legend (docs/shapes.md): `T` target tokens, `S` source tokens, `V` target vocabulary.
"""

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from translator.attention import Layout, MultiHeadAttention, Packed
from translator.config import ModelSettings
from translator.model.embedding import POSITIONS, Embedding
from translator.model.layers import DecoderLayer, EncoderLayer, LayerNorm
from translator.runtime.host_memory import check_host_memory


class Transformer(nn.Module):
    """Encoder, decoder and output projection; the vocabulary sizes may differ unless embeddings are tied.

    With `zero_start`, the decoder begins with a vector of zeros instead of the embedding of a start token.
    """

    def __init__(
        self, settings: ModelSettings, source_vocabulary: int, target_vocabulary: int, zero_start: bool = False
    ) -> None:
        super().__init__()
        self.settings = settings
        self.activation_dtype: torch.dtype | None = None
        """The number format of what layers pass on in training, under autocast; None is that of the embeddings. What
        layers normalise and add up is then as narrow as what they multiply."""
        d_model = settings.d_model
        target_weight = _embedding_weight(target_vocabulary, d_model)
        source_weight = (
            target_weight if settings.tie_embeddings == "all" else _embedding_weight(source_vocabulary, d_model)
        )
        self.source_embedding = _embedding(source_weight, settings)
        self.target_embedding = _embedding(target_weight, settings, zero_start)
        self.encoder_layers = nn.ModuleList(EncoderLayer(settings, layer) for layer in range(settings.encoder_layers))
        self.decoder_layers = nn.ModuleList(DecoderLayer(settings, layer) for layer in range(settings.decoder_layers))
        pre_norm = settings.norm == "pre"
        self.encoder_norm = LayerNorm(d_model, settings.norm_epsilon) if pre_norm else nn.Identity()
        self.decoder_norm = LayerNorm(d_model, settings.norm_epsilon) if pre_norm else nn.Identity()
        self.output_weight = (
            _embedding_weight(target_vocabulary, d_model) if settings.tie_embeddings == "none" else target_weight
        )
        self.output_bias = nn.Parameter(torch.zeros(target_vocabulary)) if settings.output_bias else None

    @property
    def _decoder(self) -> Iterable[DecoderLayer]:
        return cast(Iterable[DecoderLayer], self.decoder_layers)

    def attentions(self, kind: str) -> list[MultiHeadAttention]:
        """The attention modules of one of `translator.config.KINDS`, by layer; none if a cell takes their place."""
        if not self.settings.attention_layers(kind):
            return []
        layers = self.encoder_layers if kind == "encoder" else self.decoder_layers
        name = "cross_attention" if kind == "cross" else "self_attention"
        return [cast(MultiHeadAttention, getattr(layer, name)) for layer in layers]

    def forward(self, source: Packed, target: Packed) -> Tensor:
        """Decoder output `[T, d_model]` for known targets; `logits` or the loss projects it to the vocabulary."""
        memory = self.encode(source)
        return self.decode(target, memory, source.layout)

    def encode(self, source: Packed) -> Tensor:
        """The memory `[S, d_model]` of source sentences that end with the end-of-sentence token."""
        states = self._narrowed(self.source_embedding(source))
        for layer in self.encoder_layers:
            states = layer(states, source.layout)
        memory: Tensor = self.encoder_norm(states)
        return memory

    def decode(self, target: Packed, memory: Tensor, memory_layout: Layout) -> Tensor:
        """Decoder output `[T, d_model]` for targets that begin with the begin-of-sentence token."""
        states = self._narrowed(self.target_embedding(target))
        for layer in self._decoder:
            states = layer(states, target.layout, memory, memory_layout)
        output: Tensor = self.decoder_norm(states)
        return output

    def use_attention_kernel(self, wanted: str) -> None:
        """Compute attention by the kernel that `training.attention_kernel` names (see `attention/kernels.py`)."""
        for module in self.modules():
            if isinstance(module, MultiHeadAttention):
                module.wanted_kernel = wanted

    def _narrowed(self, states: Tensor) -> Tensor:
        return states.to(self.activation_dtype) if self.training and self.activation_dtype is not None else states

    def logits(self, states: Tensor) -> Tensor:
        """Unnormalised log-probabilities `[..., V]` of decoder output `[..., d_model]`."""
        return functional.linear(states, self.output_weight, self.output_bias)


def build_model(
    settings: ModelSettings, source_vocabulary: int, target_vocabulary: int, seed: int, zero_start: bool = False
) -> Transformer:
    """Make a freshly initialised model; the weights are a pure function of the arguments."""
    shapes = parameter_shapes(settings, source_vocabulary, target_vocabulary)
    check_host_memory(4 * sum(map(math.prod, shapes.values())), "the weights of the model")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Transformer(settings, source_vocabulary, target_vocabulary, zero_start)


def parameter_shapes(
    settings: ModelSettings, source_vocabulary: int, target_vocabulary: int
) -> dict[str, tuple[int, ...]]:
    """The shapes of the model's parameters by name, without allocating one."""
    with torch.device("meta"):
        model = Transformer(settings, source_vocabulary, target_vocabulary)
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def count_parameters(model: nn.Module) -> int:
    """Count the trained parameters; a shared matrix counts once, the fixed table of positions does not."""
    return sum(parameter.numel() for parameter in model.parameters())


def _embedding_weight(vocabulary: int, d_model: int) -> nn.Parameter:
    weight = nn.Parameter(torch.empty(vocabulary, d_model))
    nn.init.normal_(weight, std=d_model**-0.5)
    return weight


def _embedding(weight: nn.Parameter, settings: ModelSettings, zero_start: bool = False) -> Embedding:
    positions = POSITIONS[settings.positions](settings.max_positions, settings.d_model)
    return Embedding(weight, positions, settings.dropout, settings.word_dropout, zero_start)
