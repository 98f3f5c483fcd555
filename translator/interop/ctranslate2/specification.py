"""A model of ours as CTranslate2's description of a Transformer, which covers everything that our models can be.

Where its layers have another form:

* it has one number of heads for a stack, so that a head that a layer of ours lacks is a head of zeros;
* query, key and value share a matrix in self-attention, as in ours, but key and value alone do in cross-attention.
"""

import importlib
from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor, nn
from torch.nn import functional

from translator.attention import MultiHeadAttention
from translator.checkpoints import Bundle
from translator.config import ModelSettings
from translator.errors import CheckpointError, TokenizerError
from translator.interop.ctranslate2.library import require_ctranslate2
from translator.model.embedding import Embedding, SinusoidalPositions
from translator.model.layers import DecoderLayer, EncoderLayer, FeedForward
from translator.text.tokenizer import Tokenizer


def specification(bundle: Bundle, fewest_positions: int = 0) -> Any:
    """Return the library's description of the model, filled with its weights and vocabularies.

    A table of sinusoids has `fewest_positions` at least. Raises `ConfigError` if the library is not installed,
    `CheckpointError` if it has no such layer, and `TokenizerError` if two pieces are the same string.
    """
    require_ctranslate2()
    specs, stacks = (importlib.import_module(f"ctranslate2.{name}") for name in ("specs", "specs.transformer_spec"))
    settings, model = bundle.config.model, bundle.model
    if settings.decoder_cell != "attention":
        raise CheckpointError(
            f"model.decoder_cell is {settings.decoder_cell}, which CTranslate2 does not have; use the native engine"
        )
    # The library has one number of heads for a stack.
    encoder_heads = max(settings.heads("encoder"))
    decoder_heads = max(settings.heads("decoder") + settings.heads("cross"))
    shape = {
        "pre_norm": settings.norm == "pre",
        "activation": getattr(specs.Activation, settings.activation.upper()),
    }
    encoder = stacks.TransformerEncoderSpec(settings.encoder_layers, **shape, **_heads(settings, encoder_heads))
    decoder = stacks.TransformerDecoderSpec(settings.decoder_layers, **shape, **_heads(settings, decoder_heads))
    _embed(encoder.embeddings[0], encoder.position_encodings, model.source_embedding, fewest_positions)
    _embed(decoder.embeddings, decoder.position_encodings, model.target_embedding, fewest_positions)
    for layer, source in zip(encoder.layer, cast(Sequence[EncoderLayer], model.encoder_layers), strict=True):
        _attend_to_itself(layer.self_attention, source.self_attention, source.self_residual.norm, encoder_heads)
        _feed_forward(layer.ffn, source.feed_forward, source.feed_forward_residual.norm)
    for layer, target in zip(decoder.layer, cast(Sequence[DecoderLayer], model.decoder_layers), strict=True):
        _attend_to_itself(layer.self_attention, target.self_attention, target.self_residual.norm, decoder_heads)
        _attend_to_memory(layer.attention, target.cross_attention, target.cross_residual.norm, decoder_heads)
        _feed_forward(layer.ffn, target.feed_forward, target.feed_forward_residual.norm)
    for stack, norm in ((encoder, model.encoder_norm), (decoder, model.decoder_norm)):
        if isinstance(norm, nn.LayerNorm):
            _normalise(stack.layer_norm, norm)
    decoder.start_from_zero_embedding = model.target_embedding.zero_start
    decoder.projection.weight = _array(model.output_weight)
    if model.output_bias is not None:
        decoder.projection.bias = _array(model.output_bias)
    spec = specs.TransformerSpec(encoder, decoder)
    spec.config.layer_norm_epsilon = settings.norm_epsilon
    _name_pieces(spec, bundle.tokenizers.source, bundle.tokenizers.target)
    return spec


def _name_pieces(spec: Any, source: Tokenizer, target: Tokenizer) -> None:
    """Register both vocabularies as token strings, and the special tokens among them."""
    vocabularies = [tokenizer.pieces(range(tokenizer.vocab_size)) for tokenizer in (source, target)]
    for side, pieces in zip(("source", "target"), vocabularies, strict=True):
        if len(set(pieces)) < len(pieces):
            raise TokenizerError(
                f"two pieces of the {side} tokenizer are written alike; CTranslate2 needs distinct ones"
            )
    eos = vocabularies[1][target.eos_id]
    if vocabularies[0][source.eos_id] != eos:
        raise TokenizerError(
            f"the end-of-sentence token is {vocabularies[0][source.eos_id]!r} in the source tokenizer and {eos!r} in "
            "the target's; CTranslate2 needs one for both"
        )
    spec.register_source_vocabulary(vocabularies[0])
    spec.register_target_vocabulary(vocabularies[1])
    config = spec.config
    config.unk_token, config.eos_token = vocabularies[1][target.unk_id], eos
    # With a start of zeros, the embedding of the start token is not looked at.
    config.bos_token = config.decoder_start_token = vocabularies[1][target.bos_id]
    config.add_source_eos = True


def _embed(embeddings: Any, positions: Any, embedding: Embedding, fewest_positions: int) -> None:
    # The stacks of the library scale by sqrt(d_model) by default, as ours do.
    embeddings.weight = _array(embedding.weight)
    table = cast(Tensor, embedding.positions.table)
    if isinstance(embedding.positions, SinusoidalPositions) and len(table) < fewest_positions:
        table = type(embedding.positions)(fewest_positions, table.shape[1]).table
    positions.encodings = _array(table)


def _heads(settings: ModelSettings, heads: int) -> dict[str, int | None]:
    width = settings.width_of_head
    # The library computes the usual width itself.
    return {"num_heads": heads, "head_dim": None if heads * width == settings.d_model else width}


def _attend_to_itself(spec: Any, attention: MultiHeadAttention, norm: nn.LayerNorm, heads: int) -> None:
    # One matrix with the rows of query, key and value, as in our layer.
    weight, bias, output = _with_heads(attention, heads)
    _project(spec.linear[0], weight, bias)
    _project(spec.linear[1], output, attention.output.bias)
    _normalise(spec.layer_norm, norm)


def _attend_to_memory(spec: Any, attention: MultiHeadAttention, norm: nn.LayerNorm, heads: int) -> None:
    weight, bias, output = _with_heads(attention, heads)
    width = heads * attention.head_dim
    _project(spec.linear[0], weight[:width], bias[:width])
    _project(spec.linear[1], weight[width:], bias[width:])
    _project(spec.linear[2], output, attention.output.bias)
    _normalise(spec.layer_norm, norm)


def _with_heads(attention: MultiHeadAttention, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return input weight, input bias and output weight, with zeros for the heads that a layer lacks.

    Such a head attends equally to everything and adds nothing to the output, where its columns are zero.
    """
    missing = (heads - attention.num_heads) * attention.head_dim
    weight = attention.input_weight.detach().view(3, -1, attention.input_weight.shape[-1])  # [3, H * D, d_model]
    bias = attention.input_bias.detach().view(3, -1)
    return (
        functional.pad(weight, (0, 0, 0, missing)).flatten(0, 1),
        functional.pad(bias, (0, missing)).flatten(),
        functional.pad(attention.output.weight.detach(), (0, missing)),
    )


def _feed_forward(spec: Any, block: FeedForward, norm: nn.LayerNorm) -> None:
    _project(spec.linear_0, block.inner.weight, block.inner.bias)
    _project(spec.linear_1, block.outer.weight, block.outer.bias)
    _normalise(spec.layer_norm, norm)


def _project(spec: Any, weight: Tensor, bias: Tensor) -> None:
    spec.weight, spec.bias = _array(weight), _array(bias)


def _normalise(spec: Any, norm: nn.LayerNorm) -> None:
    spec.gamma, spec.beta = _array(norm.weight), _array(norm.bias)


def _array(tensor: Tensor) -> Any:
    # A copy, since the library quantises in place.
    return tensor.detach().float().cpu().contiguous().numpy().copy()
