"""Our Transformer as Hugging Face's MarianMTModel, for the benchmarks.

That model knows one kind: layers normalised after each block, one embedding for both sides and the output, sinusoidal
positions. Needs the `bench` extra.
"""

import importlib
from typing import Any

import torch
from torch import Tensor

from translator.config import KINDS, ModelSettings
from translator.model import Transformer

# Marian wants a pad id: the unknown piece, which byte fallback keeps out of text. Masks come from lengths.
PAD = 0


def marian_model(ours: Transformer, bos_id: int, eos_id: int, attention: str = "sdpa") -> Any:
    """Make a MarianMTModel that computes what `ours` does, in training mode.

    `attention` is one of its implementations, "sdpa" or "eager". Stops with a message for a model of another kind.
    """
    # By name, so that type checking gives the same result with and without the bench extra.
    transformers = importlib.import_module("transformers")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    settings = ours.settings
    if problem := _problem(settings):
        raise SystemExit(f"MarianMTModel cannot hold this model: {problem}")
    config = transformers.MarianConfig(
        vocab_size=len(ours.output_weight), pad_token_id=PAD, eos_token_id=eos_id, bos_token_id=bos_id,
        decoder_start_token_id=bos_id, forced_eos_token_id=None, max_position_embeddings=settings.max_positions,
        encoder_layers=settings.encoder_layers, decoder_layers=settings.decoder_layers, d_model=settings.d_model,
        encoder_ffn_dim=settings.d_ff, decoder_ffn_dim=settings.d_ff,
        encoder_attention_heads=settings.num_heads, decoder_attention_heads=settings.num_heads,
        activation_function=settings.activation, dropout=settings.dropout,
        attention_dropout=settings.attention_dropout, activation_dropout=settings.activation_dropout,
        scale_embedding=True, attn_implementation=attention,
    )  # fmt: skip
    model = transformers.MarianMTModel(config)
    # Not strict, for the tied matrix goes by four names and the positions are the model's own.
    _, unexpected = model.load_state_dict(marian_weights(ours), strict=False)
    if unexpected:
        raise SystemExit(f"MarianMTModel has no weights named {unexpected}; expected those of transformers 5")
    return model


def _problem(settings: ModelSettings) -> str | None:
    """Describe the first setting that MarianMTModel cannot represent."""
    demands = {
        "model.norm": (settings.norm, "post"),
        "model.positions": (settings.positions, "sinusoidal"),
        "model.tie_embeddings": (settings.tie_embeddings, "all"),
        "model.head_dim": (settings.width_of_head, settings.d_model // settings.num_heads),
        **{f"model.{kind}_heads": (set(settings.heads(kind)), {settings.num_heads}) for kind in KINDS},
    }
    wrong = [f"{name} is {found}, expected {wanted}" for name, (found, wanted) in demands.items() if found != wanted]
    return "; ".join(wrong) or None


# What has another name in Marian.
_NAMES = {
    "encoder_layers": "model.encoder.layers", "decoder_layers": "model.decoder.layers",
    "self_attention": "self_attn", "cross_attention": "encoder_attn", ".output.": ".out_proj.",
    "self_residual.norm": "self_attn_layer_norm", "cross_residual.norm": "encoder_attn_layer_norm",
    "feed_forward_residual.norm": "final_layer_norm", "feed_forward.inner": "fc1",
    "feed_forward.outer": "fc2",
}  # fmt: skip


def marian_weights(ours: Transformer) -> dict[str, Tensor]:
    """Our weights under Marian's names, with the width of the states in its order.

    Our table of positions has a sine and a cosine in turn, Marian's all sines first: every matrix that reads or writes
    states has its columns or rows in another order, which changes no result.
    """
    width = ours.settings.d_model
    order = torch.cat([torch.arange(0, width, 2), torch.arange(1, width, 2)])
    weights = {"model.shared.weight": ours.output_weight.detach()[:, order]}
    for name, value in ours.named_parameters():
        if "_layers." not in name:
            continue
        for our_name, their_name in _NAMES.items():
            name = name.replace(our_name, their_name)
        prefix, joined, kind = name.partition("input_")
        if joined:
            parts = zip("qkv", value.detach().chunk(3), strict=True)
            weights |= {f"{prefix}{letter}_proj.{kind}": _ordered(name, part, order) for letter, part in parts}
        else:
            weights[name] = _ordered(name, value.detach(), order)
    return weights


def _ordered(name: str, value: Tensor, order: Tensor) -> Tensor:
    """Bring the dimension of a weight that is as wide as the states into `order`."""
    if any(kind in name for kind in ("out_proj", "fc2", "norm")):  # what writes states
        return value[order]
    return value[:, order] if value.dim() == 2 else value
